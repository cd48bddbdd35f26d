/** The version of the package, put in by the build (src/build.mjs). */
declare const BOXCTL_VERSION: string | undefined;

export const VERSION: string = typeof BOXCTL_VERSION === 'string' ? BOXCTL_VERSION : '0.0.0-source';
