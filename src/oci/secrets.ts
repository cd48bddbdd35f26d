/** Names of variables that are usually secret. A guess, which is all that a name allows. */

const WORDS =
  /(^|_)(TOKEN|SECRET|SECRETS|PASSWORD|PASSWD|PASSPHRASE|PWD|PASS|CREDENTIAL|CREDENTIALS|KEY|APIKEY|AUTH|COOKIE|JWT|PAT|DSN)(_|$)|(TOKEN|SECRET|PASSWORD|PASSPHRASE|APIKEY)S?$/iu;
/** Names that hold such a word and mean something else. */
const HARMLESS: ReadonlySet<string> = new Set(['PWD', 'OLDPWD']);

/** Whether a variable of this name is likely to hold a secret: `GITHUB_TOKEN`, `PGPASSWORD`, `AWS_SECRET_ACCESS_KEY`. */
export function isSecretName(name: string): boolean {
  return WORDS.test(name) && !HARMLESS.has(name);
}
