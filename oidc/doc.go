// Package oidc signs users in through an OpenID Connect provider, and ends
// their sessions when the provider says so.
//
//	p, err := oidc.New(ctx, manager, store, oidc.Config{
//		Issuer:       "https://id.example.com",
//		ClientID:     "shop",
//		ClientSecret: oidc.Secret(os.Getenv("OIDC_SECRET")),
//		RedirectURL:  "https://shop.example.com/callback",
//		CookieKeys:   keys, // those of the Manager
//		Redis:        client,
//	})
//	if err != nil {
//		return err
//	}
//	mux.Handle("/login", p.Login()) // LoginPath of the Manager
//	mux.Handle("/callback", p.Callback())
//	mux.Handle("/logout", p.Logout())
//	mux.Handle("/backchannel-logout", p.BackChannelLogout())
//
// # What ends a session
//
// Each session has links: to the session at the provider (sid), to the user
// there (iss and sub), to the client and, if the provider says so, to the
// address email. [Link] names them. Whatever the provider sends ends the
// sessions of a link, by any process, at once:
//
//	Provider.BackChannelLogout      OpenID Connect Back-Channel Logout 1.0
//	Provider.FrontChannelLogout     OpenID Connect Front-Channel Logout 1.0
//	Provider.GlobalTokenRevocation  draft-parecki-oauth-global-token-revocation
//	Provider.SecurityEvents         CAEP session-revoked and credential-change
//
// A logout that overtakes its sign-in wins: the sign-in is refused. One that
// comes late, or twice, ends no session that began after it.
//
// # Cross-origin requests
//
// [http.CrossOriginProtection] around the whole site lets all of this through,
// but for Callback with [Config].FormPost: the provider's page sends that form.
// Exempt its path with AddInsecureBypassPattern; the state parameter guards it.
package oidc
