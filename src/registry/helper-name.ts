/** Names of credential helpers: NAME for the program `docker-credential-NAME`. */

/** Stands for the files of containers-auth.json(5) in `credential-helpers`. */
export const AUTH_FILES = 'containers-auth.json';

/** A name and no path: a file that names a helper must not choose the folder that it is run from. */
export const isCredentialHelper = (name: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/u.test(name);
