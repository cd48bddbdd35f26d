/**
 * What skopeo with umoci and Podman make of an image of a registry, entry by entry, is what boxctl makes of it; and Podman runs what
 * boxctl has pushed.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { boxctl } from '../support/boxctl.ts';
import { hasRegistry, startRegistry, type TestRegistry } from '../support/registry.ts';
import { tempFolder } from '../support/temp.ts';
import { isRoot, testUser } from '../support/user.ts';

const hasPeers = ['buildah', 'skopeo', 'umoci', 'podman', 'crun'].every((name) => existsSync(`/usr/bin/${name}`));

/** What each layer of the image does in the folder that it is mounted at. */
const LAYERS = [
  `mkdir -p bin etc opaque/deep gone shared/sub empty
   cp /bin/busybox bin/busybox; ln bin/busybox bin/sh; ln -s busybox bin/true
   echo one >etc/one; chmod 4755 bin/busybox; chown 12:34 etc/one; touch -d @1000000000 etc/one
   echo a >opaque/a; echo b >opaque/deep/b; echo c >gone/c; echo d >shared/d; chmod 1777 shared; chmod 700 shared/sub
   mkfifo fifo; mknod null c 1 3; setcap cap_net_raw+ep bin/busybox`,
  `rm -r gone; rm -r opaque; mkdir opaque; echo new >opaque/new; ln etc/one etc/linked; echo two >>shared/d
   rm null; ln -s ../etc shared/etc; mv shared/sub shared/moved; chmod 711 empty`,
  `rm bin/true; mkdir bin/true; echo x >bin/true/x; ln etc/linked shared/third; rm etc/one; touch 'a name with spaces'`,
];

const sh = (script: string, folder: string): string =>
  execFileSync('bash', ['-ec', script], {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
    stdio: ['ignore', 'pipe', 'pipe'],
  });

const podmanIn = (folder: string): string =>
  `podman --root '${folder}/podman' --runroot '${folder}/podman-run' --storage-driver vfs --cgroup-manager cgroupfs --events-backend none --runtime crun`;

/** Everything of a tree that an image can say. */
function entries(tree: string): readonly string[] {
  const script = `find . -mindepth 1 -printf '%P|%y|%m|%U:%G|%n|%l|%Ts\\n' | grep -vE '^(dev|proc|sys|run)(/|\\|)' | sort
    find . -type f -print0 | sort -z | xargs -0 sha256sum
    getcap -r . | sort`;
  // A folder's time is that of its last change while it was unpacked.
  return sh(script, tree)
    .trim()
    .split('\n')
    .map((line) => line.replace(/^(.*\|d\|.*\|)\d+\|.*$/u, '$1'));
}

describe.skipIf(!hasRegistry || !hasPeers || !isRoot)(
  'an image of buildah (needs root, buildah, skopeo, umoci, podman, crun, docker-registry)',
  () => {
    let registry: TestRegistry;
    let folder = '';
    beforeAll(async () => {
      registry = await startRegistry();
      folder = execFileSync('mktemp', ['-d', '/var/tmp/boxctl-peers-XXXXXX'], { encoding: 'utf8' }).trim();
      const buildah = `buildah --root '${folder}/storage' --runroot '${folder}/run' --storage-driver vfs`;
      const script = LAYERS.map(
        (layer, index) => `
        container=$(${buildah} from ${index === 0 ? 'scratch' : `layer-${index - 1}`})
        (cd "$(${buildah} mount $container)"; ${layer})
        ${buildah} config --cmd '["/bin/sh", "-c", "echo ran"]' $container
        ${buildah} commit -q --rm $container layer-${index} >/dev/null`,
      ).join('\n');
      sh(script, folder);
      for (const format of ['gzip', 'zstd']) {
        const push = `${buildah} push -q --tls-verify=false --compression-format ${format}`;
        sh(`${push} layer-${LAYERS.length - 1} docker://${registry.host}/built:${format}`, folder);
      }
    }, 120_000);
    afterAll(async () => {
      await registry.stop();
      rmSync(folder, { recursive: true, force: true });
    });

    test.each(['gzip', 'zstd'])('by %s is the same tree, entry by entry', { timeout: 120_000 }, async (format) => {
      const at = tempFolder({ open: true });
      const image = `${registry.host}/built:${format}`;
      sh(`skopeo copy -q --insecure-policy --src-tls-verify=false docker://${image} oci:layout:v1`, at);
      sh('umoci unpack --image layout:v1 theirs', at);
      writeFileSync(
        join(at, 'container.yaml'),
        JSON.stringify({ image, command: ['sh'], namespaces: { user: 'host' } }),
      );
      const bundled = await boxctl(['bundle', '--allow', 'all', 'container.yaml', 'ours'], {
        cwd: at,
        env: { BOXCTL_STORE: join(at, 'store') },
      });
      expect(bundled).toMatchObject({ status: 0 });
      const ours = entries(join(at, 'ours/rootfs'));
      expect(ours).toEqual(entries(join(at, 'theirs/rootfs')));
      const podman = podmanIn(folder);
      sh(`${podman} pull -q --tls-verify=false ${image}`, at);
      expect(ours).toEqual(entries(sh(`${podman} image mount ${image}`, at).trim()));
      sh(`${podman} image unmount ${image}`, at);
    });

    test('is run by Podman after boxctl has pulled it and pushed it again', { timeout: 120_000 }, async () => {
      const at = tempFolder({ open: true });
      const options = { cwd: at, env: { BOXCTL_STORE: join(at, 'store') } };
      const [image, again] = [`${registry.host}/built:zstd`, `${registry.host}/again:v1`];
      expect(await boxctl(['image', 'pull', image], options)).toMatchObject({ status: 0 });
      expect(await boxctl(['image', 'push', image, again], options)).toMatchObject({ status: 0 });
      // The program has a file capability, which must be within its bounds.
      const limits =
        '--cap-add NET_RAW --network none --cgroups=disabled --ulimit nofile=1000:1000 --ulimit nproc=1000:1000';
      const run = `${podmanIn(folder)} run --rm -q --tls-verify=false ${limits} ${again}`;
      // Debian's crun wants to see version 2 of cgroups alone.
      const script = `mount --make-rprivate /; mount -t cgroup2 none /sys/fs/cgroup; ${run}`;
      expect(execFileSync('unshare', ['-m', 'bash', '-ec', script], { encoding: 'utf8' })).toBe('ran\n');
    });

    test.skipIf(testUser === undefined)('runs as an ordinary user, too', { timeout: 120_000 }, async () => {
      const at = tempFolder({ open: true });
      mkdirSync(join(at, 'own'));
      execFileSync('chown', [testUser?.name ?? '', join(at, 'own')]);
      writeFileSync(join(at, 'container.yaml'), JSON.stringify({ image: `${registry.host}/built:zstd` }));
      const options = {
        cwd: at,
        env: { BOXCTL_STORE: join(at, 'own/store') },
        ...(testUser === undefined ? {} : { user: testUser }),
      };
      expect(await boxctl(['up', '--quiet'], options)).toMatchObject({ status: 0, stdout: 'ran\n' });
    });
  },
);
