// A certified OpenID provider, npm's oidc-provider, for the applications whose
// URLs are its arguments or come by standard input, a line each. It ends when
// standard input does. Whatever is typed signs in: it is not for production.
//
//   node server.mjs http://127.0.0.1:8081 http://127.0.0.1:8082
import { createServer } from 'node:http';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline';
import Provider from 'oidc-provider'; // 8: version 9 does not run on Node 18, which Debian 12 has

const names = ['shop', 'support'];
const clients = [];
const keys = [randomBytes(32).toString('hex')];
const jwk = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });

function start(issuer) {
  const provider = new Provider(issuer, {
    clients,
    jwks: { keys: [{ ...jwk, use: 'sig' }] },
    cookies: { keys },
    features: { backchannelLogout: { enabled: true }, devInteractions: { enabled: false } },
    claims: { openid: ['sub'], profile: ['name'] },
    conformIdTokenClaims: false, // name is in the ID token
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, name: id }) }),
    // Both applications are ours: nobody is asked for consent.
    async loadExistingGrant({ oidc }) {
      const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
      grant.addOIDCScope('openid profile');
      await grant.save();
      return grant;
    },
  });
  provider.on('backchannel.error', (ctx, err, client) => console.log(`no logout at ${client.clientId}: ${err}`));
  provider.on('server_error', (ctx, err) => console.log(err));
  const rest = provider.callback();
  return async (req, res) => {
    if (!req.url.startsWith('/interaction/')) return rest(req, res);
    if (req.method !== 'POST') {
      res.setHeader('Content-Type', 'text/html; charset=utf-8');
      return res.end(login);
    }
    let body = '';
    for await (const chunk of req) body += chunk;
    const accountId = new URLSearchParams(body).get('login') || 'nobody';
    return provider.interactionFinished(req, res, { login: { accountId } });
  };
}

const login = `<!doctype html><html lang="en"><title>Sign in</title><link rel="icon" href="data:,">
<h1>Sign in</h1><form method="post"><label>User name <input name="login" required></label> <button>Sign in</button></form></html>`;

const server = createServer((req, res) => handle(req, res)?.catch((err) => { console.log(err); res.destroy(); }));
await new Promise((done) => server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', done));
const issuer = `http://127.0.0.1:${server.address().port}`;
let handle = start(issuer);
console.log(`Issuer ${issuer}`);

function register(url) {
  const name = names[clients.length];
  clients.push({
    client_id: name,
    client_secret: `${name}-secret`,
    redirect_uris: [`${url}/callback`],
    post_logout_redirect_uris: [`${url}/logout`],
    backchannel_logout_uri: `${url}/backchannel-logout`,
    backchannel_logout_session_required: true,
  });
  handle = start(issuer); // clients are fixed once it is made
  console.log(`Registered ${name} at ${url}`);
}
process.argv.slice(2).forEach(register);
createInterface({ input: process.stdin }).on('line', register).on('close', () => process.exit());
