/** The verbs of `boxctl image`. */
import type { Command, OptionRow } from './command.ts';

const EVENTS = { text: 'write events, and errors among them, as JSON lines to stderr' };

/** Of which the words that follow are images of the store. */
export const TAKES_IMAGES: ReadonlySet<string> = new Set([
  'image inspect',
  'image pull',
  'image tag',
  'image rm',
  'image save',
  'image push',
]);

const PACKING = {
  compression: {
    value: 'KIND',
    words: ['gzip', 'zstd', 'none'],
    text: 'how layers are compressed: gzip, zstd or none',
  },
  level: { value: 'LEVEL', text: '1 (fast) to 9 of gzip, 19 of zstd (small); 6 and 3 unless you say so' },
};

export const PULL_WHAT =
  'Fetches the layers that the store does not have, verifies them, and gives the image its reference as a name. Prints the digest of what the reference leads to, and the reference in full. An image that is the same as before is not fetched again.';

export const PULL_OPTIONS: Readonly<Record<string, OptionRow>> = {
  platform: { value: 'PLATFORM', text: 'the image for another machine: linux/arm64, linux/arm/v7' },
  policy: {
    value: 'WHEN',
    words: ['always', 'missing', 'never', 'daily', 'weekly', 'every_'],
    text: 'when the registry is asked for what the store has: always unless you say so',
  },
  quiet: { short: 'q', text: 'print the digest alone, and nothing but what went wrong' },
  json: EVENTS,
};

const IMAGE = 'IMAGE is a name, or the first digits of a digest.';

export const IMAGE_VERBS: readonly Command[] = [
  {
    name: 'image import',
    usage: '[OPTIONS] FILE|FOLDER|- [NAME[:TAG]…]',
    summary: 'copy an image into the store',
    description:
      'Copies a rootfs tarball, an archive that docker save or podman save has written, or an OCI image layout (an archive or a folder) into the store, and prints its digest. The file may then change or go. - is standard input. Without a NAME the image gets the names that the archive has for it; one that is another image’s is refused. A NAME moves, and boxctl says from where.',
    options: {
      image: { value: 'NAME', text: 'which image of an archive that holds several' },
      sha256: { value: 'DIGEST', text: 'refuse an archive that has another digest' },
      'max-size': { value: 'SIZE', text: 'as much as the files may be together; 32g unless you say so' },
      'max-entries': {
        value: 'COUNT',
        text: 'how many files, folders and links there may be; 2000000 unless you say so',
      },
      replace: { text: 'let the archive’s names move, too' },
      quiet: { short: 'q', text: 'say nothing but what went wrong' },
      json: EVENTS,
    },
    examples: [
      ['boxctl image import debian.tar.zst debian:12', 'then `image: debian:12` in a file'],
      ['docker save web | boxctl image import -', 'with the name that it has there'],
      ['boxctl image import --image web:2 all.tar', 'one of several'],
    ],
    positionals: [1, Number.POSITIVE_INFINITY],
    takesRest: false,
    load: async () => (await import('./commands/image/import.ts')).imageImport,
  },
  {
    name: 'image pull',
    usage: '[OPTIONS] REF…',
    summary: 'bring images from registries into the store',
    description: PULL_WHAT,
    options: PULL_OPTIONS,
    examples: [
      ['boxctl image pull alpine:3.20', 'from docker.io, or where registries.conf says'],
      ['boxctl image pull --platform linux/arm64 ghcr.io/org/app', 'for another machine'],
    ],
    positionals: [1, Number.POSITIVE_INFINITY],
    takesRest: false,
    load: async () => (await import('./commands/pull.ts')).imagePull,
  },
  {
    name: 'image verify',
    usage: '[OPTIONS] REF…',
    summary: 'tell whether images of a registry are signed by a key',
    description:
      'Looks for signatures of cosign in the repository of each REF, and fetches nothing of the image but its manifests. Without --key, what the policies of this machine and person demand is checked. Ends with 0 where all of them are signed.',
    options: {
      key: { value: 'FILE', multiple: true, text: 'a public key (PEM); of several, one is enough' },
      identity: { value: 'REPOSITORY', text: 'the repository that the signature must name, where that is another one' },
      platform: { value: 'PLATFORM', text: 'the image for another machine: linux/arm64, linux/arm/v7' },
      json: { text: 'print what was found as JSON' },
    },
    examples: [
      ['boxctl image verify --key cosign.pub ghcr.io/org/app:1.4', 'signed by this key?'],
      ['boxctl image verify docker.io/library/alpine', 'as the policies demand it?'],
    ],
    positionals: [1, Number.POSITIVE_INFINITY],
    takesRest: false,
    load: async () => (await import('./commands/image/verify.ts')).imageVerify,
  },
  {
    name: 'image ls',
    usage: '[OPTIONS]',
    summary: 'list the images of the store',
    description:
      'Lists the images of the store, the newest first. A form is mounted (the archive as it is, under an index) or unpacked; of an image in place only the index is in the store, and its archive is where you have it.',
    options: {
      names: { text: 'print the names alone' },
      json: { text: 'print them as JSON' },
    },
    examples: [
      ['boxctl image ls', 'all of them'],
      ["boxctl image ls --json | jq -r '.[].digest'", 'for programs'],
    ],
    positionals: [0, 0],
    takesRest: false,
    load: async () => (await import('./commands/image/ls.ts')).imageLs,
  },
  {
    name: 'image inspect',
    usage: '[OPTIONS] IMAGE',
    summary: 'tell all that is known of an image',
    description: `Prints names, layers and their places in the store, what was left out at the import, and the defaults that the image has for a file. ${IMAGE}`,
    options: { json: { text: 'print it as JSON' } },
    examples: [['boxctl image inspect debian:12', 'which command does it have?']],
    positionals: [1, 1],
    takesRest: false,
    load: async () => (await import('./commands/image/inspect.ts')).imageInspect,
  },
  {
    name: 'image tag',
    usage: '[OPTIONS] IMAGE NAME[:TAG]…',
    summary: 'give an image more names',
    description: `Gives an image more names; a name that another image had is taken from it. ${IMAGE}`,
    options: { json: EVENTS },
    examples: [['boxctl image tag debian:12 base', 'the same image as base:latest']],
    positionals: [2, Number.POSITIVE_INFINITY],
    takesRest: false,
    load: async () => (await import('./commands/image/tag.ts')).imageTag,
  },
  {
    name: 'image rm',
    usage: '[OPTIONS] IMAGE…',
    summary: 'remove names, and images with their last one',
    description: `Takes a name away, and removes the image when it was the last. By its digest, an image is removed with all its names. Layers that other images have stay. An image that a container uses is not removed. ${IMAGE}`,
    options: { json: { text: 'print what went, and errors, as JSON lines' } },
    examples: [['boxctl image rm debian:11 3f2a9c', 'one by its name, one by its digest']],
    positionals: [1, Number.POSITIVE_INFINITY],
    takesRest: false,
    load: async () => (await import('./commands/image/rm.ts')).imageRm,
  },
  {
    name: 'image save',
    usage: '[OPTIONS] IMAGE… [-o FILE]',
    summary: 'write images as an archive that other tools load',
    description: `Writes images as one archive, to a file, which is replaced when the archive is complete, or to standard output. docker, podman, skopeo and boxctl itself load it as the same image. The same image gives the same bytes. A root file system becomes an image of one layer; it was made when its newest file was, or at SOURCE_DATE_EPOCH. ${IMAGE}`,
    options: {
      output: { short: 'o', value: 'FILE', text: 'where to write it; - or nothing is standard output' },
      format: {
        value: 'FORMAT',
        words: ['docker', 'oci'],
        text: 'docker (as docker save; the default), or oci (an OCI image layout)',
      },
      compression: {
        ...PACKING.compression,
        text: 'of layers: gzip (of oci, unless you say so), zstd, none (of docker)',
      },
      level: PACKING.level,
      quiet: { short: 'q', text: 'say nothing but what went wrong' },
      json: EVENTS,
    },
    examples: [
      ['boxctl image save -o debian.tar debian:12', 'then `docker load -i debian.tar`'],
      ['boxctl image save web db | ssh host docker load', 'two images, to another machine'],
      ['boxctl image save --format oci -o web.tar web', 'an OCI image layout'],
    ],
    positionals: [1, Number.POSITIVE_INFINITY],
    takesRest: false,
    load: async () => (await import('./commands/image/save.ts')).imageSave,
  },
  {
    name: 'image push',
    usage: '[OPTIONS] IMAGE… [REF]',
    summary: 'put an image into a registry',
    description: `Puts an image of the store into a registry under REF (REGISTRY/PATH[:TAG]), and prints the digest of what is there then. Without REF, an image goes to where its name says. Blobs that the registry has are not sent; those of another repository of it are mounted. An image that was pulled keeps its digest where the registry has its layers; otherwise, layers are compressed anew, by gzip unless you say so. Several images, or several platforms of one, become an index. What breaks goes on where it was. ${IMAGE}`,
    options: {
      platform: {
        value: 'PLATFORM',
        multiple: true,
        text: 'the store’s image of this name for a machine; several make an index',
      },
      compression: PACKING.compression,
      level: PACKING.level,
      quiet: { short: 'q', text: 'print the digest, and nothing but what went wrong' },
      json: EVENTS,
    },
    examples: [
      ['boxctl image push web ghcr.io/org/web:1', 'an image of the store'],
      ['boxctl image push web:amd64 web:arm64 ghcr.io/org/web:1', 'an index of two'],
      ['boxctl image push --compression zstd web localhost:5000/web', 'smaller'],
    ],
    positionals: [1, Number.POSITIVE_INFINITY],
    takesRest: false,
    load: async () => (await import('./commands/image/push.ts')).imagePush,
  },
  {
    name: 'image prune',
    usage: '[OPTIONS]',
    summary: 'remove what nobody needs any more',
    description:
      'Removes the images that have no name and whose archive is gone or has changed, layers of no image, and what interrupted imports have left. Nothing that a container uses goes.',
    options: {
      all: { short: 'a', text: 'every image that no container uses, named or not' },
      json: { text: 'print what went as JSON' },
    },
    examples: [
      ['boxctl image prune', 'what could not be found any more'],
      ['boxctl image prune --all', 'an empty store'],
    ],
    positionals: [0, 0],
    takesRest: false,
    load: async () => (await import('./commands/image/prune.ts')).imagePrune,
  },
  {
    name: 'image pack',
    usage: '[OPTIONS] PROGRAM… -o FILE',
    summary: 'make a root file system of programs of this host',
    description:
      'Packs programs of this host, with the libraries and the loader that they need, into a tarball; gzip when the name ends in gz.',
    options: { output: { short: 'o', value: 'FILE', text: 'where to write the tarball' }, json: EVENTS },
    examples: [['boxctl image pack sh ls ps -o rootfs.tar.gz', 'an image without a download']],
    positionals: [1, Number.POSITIVE_INFINITY],
    takesRest: false,
    load: async () => (await import('./commands/image/pack.ts')).imagePack,
  },
];
