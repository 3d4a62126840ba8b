package oidc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/redischeck"
	"github.com/ticketstore/ticketstore/internal/ui"
)

// A Provider signs users in through one OpenID Connect provider, and takes its
// word for when their sessions end. It is safe for concurrent use. Make one with
// [New].
type Provider struct {
	cfg      Config
	manager  *ticketstore.Manager
	store    ticketstore.LinkIndex
	provider *gooidc.Provider
	metadata metadata
	oauth    oauth2.Config
	keys     *keySet
	attempts attempts // sign-ins
	leaving  attempts // sign-outs
	replays  replays
	pages    ui.Responder
	custom   bool // the template
}

// metadata is what go-oidc does not read of the provider's (OpenID Connect
// Discovery 1.0, section 3; RFC 8414; RFC 9207).
type metadata struct {
	JWKSURL            string   `json:"jwks_uri"`
	EndSessionEndpoint string   `json:"end_session_endpoint"`
	Algorithms         []string `json:"id_token_signing_alg_values_supported"`
	AuthMethods        []string `json:"token_endpoint_auth_methods_supported"`
	SendsIssuer        bool     `json:"authorization_response_iss_parameter_supported"`
}

// ownParams are the parameters of the authentication request that Login sets.
var ownParams = []string{
	"client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce",
	"code_challenge", "code_challenge_method", "request", "request_uri",
}

// New returns a Provider that starts sessions by m and ends those of store,
// which is m's, too. It asks the provider for its metadata: ctx bounds that, and
// nothing later. If an argument is unfit, the error names every problem found.
// Changes to cfg afterwards have no effect.
func New(ctx context.Context, m *ticketstore.Manager, store ticketstore.LinkIndex, cfg Config) (*Provider, error) {
	custom := cfg.Template != nil
	cfg = cfg.withDefaults()
	cfg.Params = maps.Clone(cfg.Params)
	var errs []error
	if m == nil {
		errs = append(errs, errors.New("m: it is nil"))
	}
	if redischeck.IsNil(store) {
		errs = append(errs, errors.New("store: it is nil"))
	}
	if err := errors.Join(append(errs, cfg.validate())...); err != nil {
		return nil, fmt.Errorf("oidc: invalid Provider: %w", err)
	}
	p := &Provider{cfg: cfg, manager: m, store: store, replays: replays{cfg.Redis, cfg.Prefix}, custom: custom}
	p.pages = ui.Responder{Package: "oidc", Template: cfg.Template, Logger: cfg.Logger}
	sameSite := http.SameSiteLaxMode
	if cfg.FormPost {
		sameSite = http.SameSiteNoneMode // the provider's page sends the form
	}
	var err, err2 error
	p.attempts, err = newAttempts("oidc-in-", sameSite, cfg)
	p.leaving, err2 = newAttempts("oidc-out-", http.SameSiteLaxMode, cfg)
	if err := errors.Join(err, err2); err != nil {
		return nil, fmt.Errorf("oidc: CookieKeys: %w", err)
	}
	if p.provider, err = gooidc.NewProvider(p.client(ctx), cfg.Issuer); err != nil {
		return nil, fmt.Errorf("oidc: the provider's metadata: %w", err)
	}
	if err := p.provider.Claims(&p.metadata); err != nil {
		return nil, fmt.Errorf("oidc: the provider's metadata: %w", err)
	}
	if err := p.usable(); err != nil {
		return nil, fmt.Errorf("oidc: the provider's metadata: %w", err)
	}
	p.keys = newKeySet(ctx, cfg.HTTPClient, p.metadata.JWKSURL)
	p.oauth = oauth2.Config{
		ClientID:     cfg.ClientID,
		ClientSecret: string(cfg.ClientSecret),
		RedirectURL:  cfg.RedirectURL,
		Scopes:       cfg.Scopes,
		Endpoint:     p.provider.Endpoint(),
	}
	// With AutoDetect, x/oauth2 sends a request again in another style if it
	// fails, and with it a code or a refresh token that may be spent.
	p.oauth.Endpoint.AuthStyle = p.metadata.authStyle(cfg.ClientSecret)
	if s, ok := store.(interface{ Seals() bool }); cfg.KeepTokens && (!ok || !s.Seals()) {
		p.log(ctx, slog.LevelWarn, "oidc: access and refresh tokens are kept, and records are not sealed: set SealKeys, or whoever can read Redis has the tokens")
	}
	return p, nil
}

// usable checks the metadata, and leaves the algorithms that are asymmetric: a
// client secret, or a public key taken for one, signs nothing.
func (p *Provider) usable() error {
	e := p.provider.Endpoint()
	for name, url := range map[string]string{"authorization_endpoint": e.AuthURL, "token_endpoint": e.TokenURL, "jwks_uri": p.metadata.JWKSURL} {
		if err := safeURL(url); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	p.metadata.Algorithms = slices.DeleteFunc(p.metadata.Algorithms, func(alg string) bool {
		return !slices.Contains(asymmetric, alg)
	})
	if len(p.metadata.Algorithms) == 0 {
		return fmt.Errorf("id_token_signing_alg_values_supported has none of %s", strings.Join(asymmetric, ", "))
	}
	return nil
}

var asymmetric = []string{
	gooidc.RS256, gooidc.RS384, gooidc.RS512, gooidc.ES256, gooidc.ES384, gooidc.ES512,
	gooidc.PS256, gooidc.PS384, gooidc.PS512, gooidc.EdDSA,
}

// authStyle returns how the client proves who it is. Where the metadata says
// nothing, that is client_secret_basic.
func (m metadata) authStyle(secret Secret) oauth2.AuthStyle {
	basic := len(m.AuthMethods) == 0 || slices.Contains(m.AuthMethods, "client_secret_basic")
	if secret == "" || !basic {
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}

// client returns a copy of ctx by which go-oidc and x/oauth2 call the provider.
func (p *Provider) client(ctx context.Context) context.Context {
	return gooidc.ClientContext(ctx, p.cfg.HTTPClient)
}

// verifier returns what verifies tokens that are for audience.
func (p *Provider) verifier(ctx context.Context, issuer, audience string, expire bool) *gooidc.IDTokenVerifier {
	return gooidc.NewVerifier(issuer, p.keys, &gooidc.Config{
		ClientID:             audience,
		SupportedSigningAlgs: p.metadata.Algorithms,
		SkipExpiryCheck:      !expire,
		Now:                  clock.Of(ctx),
	})
}

func (p *Provider) log(ctx context.Context, level slog.Level, msg string, args ...any) {
	logger := p.cfg.Logger
	if logger == nil {
		logger = slog.Default()
	}
	logger.Log(ctx, level, msg, args...)
}

// methods returns a handler that calls next for requests with one of methods.
func methods(next http.HandlerFunc, methods ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(methods, r.Method) {
			w.Header().Set("Allow", strings.Join(methods, ", "))
			http.Error(w, "Method not allowed", http.StatusMethodNotAllowed)
			return
		}
		next(w, r)
	})
}
