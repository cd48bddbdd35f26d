/** Archives as the tools of the field write them, each from a file to a container's output. */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { callers, specFolder, callerOptions } from '../support/container.ts';
import { boxctl } from '../support/boxctl.ts';
import { sha256, writeLayout } from '../support/layout.ts';
import { busyboxRootfs } from '../support/rootfs.ts';
import { isRoot } from '../support/user.ts';
import { archive } from '../unit/image/archive-fixture.ts';

const missing = ['podman', 'buildah', 'skopeo', 'umoci', 'xz', 'bzip2', 'zstd'].filter(
  (tool) => spawnSync(tool, ['--version'], { stdio: 'ignore' }).status !== 0,
);

const run = (folder: string, script: string): string =>
  execFileSync('sh', ['-euc', script], { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

/** Podman and buildah with a store of the test's own. */
const store = (folder: string): string => `--root '${folder}/storage' --runroot '${folder}/run' --storage-driver vfs`;

/** What every image here says when its own command runs. */
const SAYS = 'hello from the image\n';
const CONFIG = { Cmd: ['/bin/sh', '-c', 'cat /hello'], Env: ['PATH=/bin'] };

let made = '';
const at = (name: string): string => join(made, name);

beforeAll(() => {
  if (!isRoot || missing.length > 0) return;
  made = mkdtempSync(join(tmpdir(), 'boxctl-formats-'));
  chmodSync(made, 0o755);
  run(
    made,
    `mkdir tree; tar -xf '${busyboxRootfs()}' -C tree; printf '${SAYS}' >tree/hello
    tar --numeric-owner -C tree -cf plain.tar .
    gzip -k plain.tar; xz -1 -k plain.tar; bzip2 -1 -k plain.tar; zstd -q -1 plain.tar
    xz -1 -c --check=sha256 plain.tar >checked.xz
    (cd tree && find . -printf '%P\\n' | grep . | sort | tar --no-recursion -cf ../exported.tar -T -)
    podman ${store(made)} import -q -c 'CMD ["/bin/sh","-c","cat /hello"]' -c 'ENV PATH=/bin' plain.tar localhost/img:1
    podman ${store(made)} save -q -o podman-docker.tar localhost/img:1
    podman ${store(made)} save -q --format oci-archive -o podman-oci.tar localhost/img:1
    podman ${store(made)} save -q --format oci-dir -o podman-oci localhost/img:1
    skopeo copy -q docker-archive:podman-docker.tar oci:skopeo:v1
    skopeo copy -q docker-archive:podman-docker.tar oci-archive:skopeo.tar:v1
    skopeo copy -q docker-archive:podman-docker.tar docker-archive:skopeo-docker.tar:img:1
    umoci init --layout umoci; umoci new --image umoci:v1; umoci unpack --image umoci:v1 bundle
    cp -a tree/. bundle/rootfs/; umoci repack --image umoci:v1 bundle
    rm bundle/rootfs/hello; printf '${SAYS}' >bundle/rootfs/hello2; ln -s hello2 bundle/rootfs/hello
    umoci repack --image umoci:v1 bundle
    umoci config --image umoci:v1 --config.cmd /bin/sh --config.cmd -c --config.cmd 'cat /hello' --config.env PATH=/bin
    tar -C umoci -cf umoci.tar .
    container=$(buildah ${store(made)} from scratch)
    buildah ${store(made)} add -q "$container" plain.tar /
    buildah ${store(made)} config --cmd '["/bin/sh","-c","cat /hello"]' --env PATH=/bin "$container" 2>/dev/null
    buildah ${store(made)} commit -q "$container" oci:buildah:v1
    podman ${store(made)} rmi -af >/dev/null; buildah ${store(made)} rm -a >/dev/null
    chmod -R a+rX .`,
  );
  dockerSave();
  run(made, 'gzip -k podman-docker.tar; zstd -q docker-new.tar; chmod -R a+rX .');
}, 120_000);

afterAll(() => {
  if (made !== '') rmSync(made, { recursive: true });
});

/** As `docker save` writes: of old, a folder for each layer with links for those that repeat; since 25, a layout, too. */
function dockerSave(): void {
  const layers = [
    readFileSync(at('plain.tar')),
    archive({ name: 'hello', data: 'covered' }),
    archive({ name: 'hello', data: SAYS }),
  ];
  const order = [0, 1, 2, 1, 2];
  const diffIds = order.map((number) => `sha256:${sha256(layers[number] ?? Buffer.alloc(0))}`);
  const config = JSON.stringify({ os: 'linux', config: CONFIG, rootfs: { type: 'layers', diff_ids: diffIds } });
  const id = sha256(config);
  mkdirSync(at('old'));
  const folders = order.map((number, place) => {
    const folder = sha256(`layer ${place}`);
    mkdirSync(at(`old/${folder}`));
    writeFileSync(at(`old/${folder}/VERSION`), '1.0');
    const first = order.indexOf(number);
    if (first < place) symlinkSync(`../${sha256(`layer ${first}`)}/layer.tar`, at(`old/${folder}/layer.tar`));
    else writeFileSync(at(`old/${folder}/layer.tar`), layers[number] ?? '');
    return `${folder}/layer.tar`;
  });
  writeFileSync(at(`old/${id}.json`), config);
  writeFileSync(
    at('old/manifest.json'),
    JSON.stringify([{ Config: `${id}.json`, RepoTags: ['img:1'], Layers: folders }]),
  );
  run(
    made,
    `(cd old && tar -cf ../docker-old.tar ${folders
      .map((path) => path.slice(0, 64))
      .toSorted()
      .join(' ')} ${id}.json manifest.json)`,
  );

  writeLayout(
    at('new'),
    order.map((number) => layers[number] ?? Buffer.alloc(0)),
    { config: CONFIG },
  );
  const index = JSON.parse(readFileSync(at('new/index.json'), 'utf8')) as { manifests: { digest: string }[] };
  const blob = (digest: string): string => `blobs/sha256/${digest.slice(7)}`;
  const manifest = JSON.parse(readFileSync(at(`new/${blob(index.manifests[0]?.digest ?? '')}`), 'utf8')) as {
    config: { digest: string };
    layers: { digest: string }[];
  };
  const entry = {
    Config: blob(manifest.config.digest),
    RepoTags: ['img:1'],
    Layers: manifest.layers.map(({ digest }) => blob(digest)),
  };
  writeFileSync(at('new/manifest.json'), JSON.stringify([entry]));
  run(made, 'tar -C new -cf docker-new.tar blobs index.json manifest.json oci-layout');
}

const ROOTFS = [
  'plain.tar',
  'plain.tar.gz',
  'plain.tar.xz',
  'checked.xz',
  'plain.tar.bz2',
  'plain.tar.zst',
  'exported.tar',
  'tree',
];
const IMAGES = [
  'podman-docker.tar',
  'podman-docker.tar.gz',
  'podman-oci.tar',
  'podman-oci',
  'skopeo',
  'skopeo.tar',
  'skopeo-docker.tar',
  'umoci',
  'umoci.tar',
  'buildah',
  'docker-old.tar',
  'docker-new.tar',
  'docker-new.tar.zst',
];

describe.skipIf(!isRoot || missing.length > 0)(
  `needs root, podman, buildah, skopeo, umoci, xz, bzip2, zstd (missing: ${missing.join(' ') || 'none'})`,
  () => {
    describe.each(callers)('$title', (caller) => {
      const says = async (name: string, spec: object): Promise<object> => {
        // The name says nothing of what it is.
        const folder = specFolder({ image: './image', ...spec }, caller);
        if (ROOTFS.includes(name) || name.includes('.'))
          run(folder, `ln '${at(name)}' image 2>/dev/null || cp -a '${at(name)}' image`);
        else cpSync(at(name), join(folder, 'image'), { recursive: true });
        const { status, stdout, stderr } = await boxctl(['up', '--quiet'], callerOptions(caller, folder));
        return { status, stdout, stderr };
      };

      test.each(ROOTFS)('%s', async (name) => {
        expect(await says(name, { command: ['/bin/cat', '/hello'] })).toMatchObject({ status: 0, stdout: SAYS });
      });

      test.each(IMAGES)('%s, by its own command', async (name) => {
        expect(await says(name, {})).toMatchObject({ status: 0, stdout: SAYS });
      });
    });
  },
);
