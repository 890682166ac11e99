// An OpenID provider for tests: node oidc_provider.mjs LIBRARY SETTINGS, where SETTINGS is a JSON object with
// port, clients (their metadata) and people (login -> claims). Any password lets in. It also gives tokens to clients
// themselves (client_credentials), and tells which are good (introspection). Says "ready" on standard output.
const [library, settings] = process.argv.slice(2);
const { default: Provider } = await import(library);
const { port, clients, people } = JSON.parse(settings);

const provider = new Provider(`http://localhost:${port}`, {
  clients,
  claims: { openid: ["sub"], profile: ["preferred_username", "name", "family_name", "given_name", "groups", "number"] },
  cookies: { keys: ["of the tests"] },
  features: { clientCredentials: { enabled: true }, introspection: { enabled: true } },
  enabledJWA: { clientAuthSigningAlgValues: ["RS384", "ES384"] }, // SMART Backend Services
  scopes: ["openid", "system/DiagnosticReport.crus"],
  pkce: { required: () => true },
  findAccount: (_context, sub) => (people[sub] ? { accountId: sub, claims: () => ({ sub, ...people[sub] }) } : undefined),
});
provider.listen(port, "127.0.0.1", () => console.log("ready"));
