import { describe, expect, it } from 'vitest';
import { compile, outline } from '../../../src/model/compile.ts';
import type { ConfigPath } from '../../../src/oci/config-path.ts';
import type { OciBase } from '../../../src/oci/config.ts';
import { DEFAULT_CAPABILITIES, MASKED_PATHS, READONLY_PATHS } from '../../../src/model/defaults.ts';
import { allowance, demandsOf } from '../../../src/model/demands.ts';
import { isSecretName } from '../../../src/model/secrets.ts';
import { NAMESPACE_KINDS, type Ulimit } from '../../../src/spec/spec.ts';
import { testDocument, type DocumentOptions } from '../../support/document.ts';
import { ROOT_HOST, USER_HOST } from '../../support/host-facts.ts';
import { image } from './fixtures.ts';

const COMMAND = { command: ['true'] } as const;
const HOST = { kind: 'host' } as const;

const demanded = (options: DocumentOptions, host = ROOT_HOST) => {
  const root = options.namespaces?.mount?.kind === 'host' ? undefined : image;
  return compile(testDocument({ ...COMMAND, ...options }), root, host).demands.map(allowance);
};

const bindOf = (source: string, readOnly = false) =>
  ({
    type: 'bind',
    source,
    target: '/inside',
    readOnly,
    flags: [],
    recursive: 'enabled',
    propagation: 'rprivate',
    create: [],
    isFile: false,
    specPath: 'volumes.0',
  }) as const;

/** A document in a folder, with what the loader noted. */
const placed = (noted: Partial<ReturnType<typeof testDocument>>, options: DocumentOptions = {}) => ({
  ...testDocument({ ...COMMAND, ...options }, { 'volumes.0': 4 }),
  folder: '/project',
  ...noted,
});
const demandedOf = (document: ReturnType<typeof placed>) => compile(document, image, ROOT_HOST).demands;

/** The demands of a configuration that was changed after it was compiled, as other stages could. */
const demandedBy = (change: (config: OciBase) => void, because?: { readonly path: string }) => {
  const document = testDocument(COMMAND);
  const model = compile(document, image, ROOT_HOST);
  const config = structuredClone(model.config);
  change(config);
  const spec = { kind: 'spec', path: 'key', at: undefined } as const;
  const reasons = (path: ConfigPath) => (path === because?.path ? spec : model.because(path));
  return demandsOf(document, { config, because: reasons, mounts: model.mounts, devices: model.devices }, ROOT_HOST).map(
    allowance,
  );
};

it('a file with a command alone demands nothing, for root and for a user', () => {
  expect(demanded({})).toEqual([]);
  expect(demanded({}, USER_HOST)).toEqual([]);
});

describe('demands', () => {
  it.each(NAMESPACE_KINDS)('demands are the host’s %s namespace', (kind) => {
    expect(demanded({ namespaces: { [kind]: HOST } })).toContain(`namespace=${kind}`);
  });
  it('demands are the paths of namespaces that are joined', () => {
    const path = '/proc/1/ns/net';
    expect(demanded({ namespaces: { net: { kind: 'path', path } } })).toEqual([`join=${path}`]);
  });
  it('demands do not include the host’s time namespace where the kernel has no others', () => {
    expect(demanded({}, { ...ROOT_HOST, timeNamespace: false })).toEqual([]);
  });
  it('demands are ids below 65536 that root maps, and not the own id of a user', () => {
    const map = (host: number, size: number) => ({ uidMap: [{ container: 0, host, size }] });
    expect(demanded(map(0, 1))).toEqual(['ids=0']);
    expect(demanded(map(1000, 70_000))).toEqual(['ids=1000-70999']);
    expect(demanded(map(100_000, 65_536))).toEqual([]);
    const own = { ...map(1000, 1), gidMap: [{ container: 0, host: 1001, size: 1 }] };
    expect(demanded(own, USER_HOST)).toEqual([]);
  });
  it('demands are binds from outside of the folder, with `:ro` where they are read-only', () => {
    const all = ['/project', '/project/src', '/projects', '/', '/etc/passwd'];
    const of = (readOnly: boolean) =>
      all.flatMap((source) => demandedOf(placed({}, { volumes: [bindOf(source, readOnly)] })).map(allowance));
    expect(of(false)).toEqual(['bind=/projects', 'bind=/', 'bind=/etc/passwd']);
    expect(of(true)).toEqual(['bind=/projects:ro', 'bind=/:ro', 'bind=/etc/passwd:ro']);
  });
  it('demands are devices that are bound', () => {
    expect(demandedOf(placed({}, { volumes: [bindOf('/dev/fuse')] })).map(allowance)).toEqual(['device=/dev/fuse']);
  });
  it('demands do not include the host’s /proc and /sys that boxctl binds by itself', () => {
    expect(demanded({ namespaces: { pid: HOST, net: HOST } })).toEqual(['namespace=pid', 'namespace=net']);
  });
  it('demands are every device beyond the standard ones', () => {
    const fuse = { source: '/dev/fuse', target: '/dev/mine', type: 'c', major: 10, minor: 229, mode: 0o666 } as const;
    const devices = [{ ...fuse, read: true, write: true, mknod: true, specPath: 'devices.0' }] as const;
    expect(demanded({ devices })).toEqual(['device=/dev/fuse']);
  });
  it('demands are every capability beyond the usual set, and none that was dropped', () => {
    const held = [...DEFAULT_CAPABILITIES.slice(2), 'CAP_SYS_ADMIN', 'CAP_NET_ADMIN'];
    const set = ({ process }: OciBase) => void (process.capabilities.bounding = held);
    expect(demandedBy(set)).toEqual(['cap=SYS_ADMIN', 'cap=NET_ADMIN']);
  });
  it('demands are to run without a filter, and to run with a filter of the file’s own', () => {
    expect(demandedBy(({ linux }) => void delete linux.seccomp)).toEqual(['seccomp=unconfined']);
    expect(demandedBy(() => undefined, { path: 'linux.seccomp' })).toEqual(['seccomp=custom']);
  });
  it('demands of a privileged container are `privileged` alone in place of its parts', () => {
    expect(demanded({ privileged: true })).toEqual(['privileged']);
    const both = { privileged: true, noNewPrivileges: false, namespaces: { net: HOST } };
    expect(demanded(both)).toEqual(['namespace=net', 'privileged', 'new_privileges']);
  });
  it('demands are a negative oom_score_adj, and not a positive one', () => {
    expect(demanded({ oomScoreAdj: -5 })).toEqual(['oom_score_adj=-5']);
    expect(demanded({ oomScoreAdj: 500 })).toEqual([]);
  });
  it('demands are the ulimits rtprio above 0 and nice above 20', () => {
    const limit = (name: Ulimit['name'], hard: number | 'unlimited') => [
      { name, soft: 0, hard, specPath: `ulimits.${name}` } as const,
    ];
    expect(demanded({ ulimits: limit('rtprio', 1) })).toEqual(['ulimit=rtprio']);
    expect(demanded({ ulimits: limit('nice', 'unlimited') })).toEqual(['ulimit=nice']);
    expect(demanded({ ulimits: [...limit('rtprio', 0), ...limit('nice', 20), ...limit('nofile', 100)] })).toEqual([]);
  });
  it('demands are AppArmor and SELinux labels that are not those of containers', () => {
    const host = { ...ROOT_HOST, apparmor: true, selinux: true };
    expect(demanded({ apparmor: 'unconfined' }, host)).toEqual(['apparmor=unconfined']);
    expect(demanded({ apparmor: 'docker-default' }, host)).toEqual([]);
    expect(demanded({ selinux: 'system_u:system_r:spc_t:s0' }, host)).toEqual(['selinux=system_u:system_r:spc_t:s0']);
    expect(demanded({ selinux: 'system_u:system_r:container_t:s0:c1' }, host)).toEqual([]);
    expect(demanded({ selinux: 'system_u:system_r:container_init_t' }, host)).toEqual([]);
  });
  it('demands are `new_privileges` where set-user-id programs may gain them', () => {
    expect(demandedBy(({ process }) => void (process.noNewPrivileges = false))).toEqual(['new_privileges']);
  });
  it('demands are default paths that are no longer masked or read-only', () => {
    const change = ({ linux }: OciBase) => {
      linux.maskedPaths = MASKED_PATHS.filter((path) => path !== '/proc/kcore');
      linux.readonlyPaths = READONLY_PATHS.filter((path) => path !== '/proc/sys');
    };
    expect(demandedBy(change)).toEqual(['unmask=/proc/kcore', 'unmask=/proc/sys']);
  });
  it('demands are files outside of the folder: any env_file and profile, and an image or a key that not every user may read', () => {
    const file = (kind: 'image' | 'env_file' | 'seccomp' | 'public_key', path: string, everyone: boolean) =>
      ({ kind, file: path, path: 'volumes.0', readable: true, everyone }) as const;
    const files = [
      file('image', '/root/secret.tar', false),
      file('image', '/srv/public.tar', true),
      file('image', '/project/own.tar', false),
      file('env_file', '/etc/environment', true),
      file('env_file', '/project/own.env', false),
      file('seccomp', '/etc/profile.json', true),
      file('public_key', '/root/cosign.pub', false),
      file('public_key', '/etc/cosign.pub', true),
      file('public_key', '/project/cosign.pub', false),
    ];
    expect(demandedOf(placed({ files })).map(allowance)).toEqual([
      'image=/root/secret.tar',
      'env_file=/etc/environment',
      'profile=/etc/profile.json',
      'key=/root/cosign.pub',
    ]);
  });
  it('demands are programs of the host outside of the standard folders', () => {
    const tools = ['sh', '/bin/ls', '/root/bin/deploy', '/project/evil', '/usr/bin/../../root/x'];
    expect(demandedOf(placed({}, { image: { kind: 'host_tools', tools } })).map(allowance)).toEqual([
      'tool=/root/bin/deploy',
      'tool=/project/evil',
      'tool=/usr/bin/../../root/x',
    ]);
  });
  it('demands are programs that PATH finds in the file’s folder, or that not every user may read', () => {
    const found = (file: string, everyone: boolean) => ({ file, path: 'image.host_tools.0', everyone });
    const told = (tools: ReturnType<typeof found>[]) =>
      demandedOf(placed({ tools }, { image: { kind: 'host_tools', tools: ['tool'] } })).map(allowance);
    expect(told([found('/usr/bin/tool', true), found('/opt/node/bin/tool', true)])).toEqual([]);
    expect(told([found('/project/bin/tool', true)])).toEqual(['tool=/project/bin/tool']);
    expect(told([found('/usr/local/bin/tool', false)])).toEqual(['tool=/usr/local/bin/tool']);
  });
  it('demands are variables of the caller whose names sound secret, each once', () => {
    const taken = ['LANG', 'GITHUB_TOKEN', 'IMAGE_TAG', 'GITHUB_TOKEN'].map((name) => ({
      name,
      path: 'environment',
      value: 'x',
    }));
    expect(demandedOf(placed({ taken })).map(allowance)).toEqual(['env=GITHUB_TOKEN']);
  });
});

it('a demand has the line of the file that makes it', () => {
  const demands = demandedOf(placed({}, { volumes: [bindOf('/data', true)] }));
  expect(demands).toMatchObject([
    {
      kind: 'bind',
      value: '/data',
      message: 'reads /data of the host, as /inside',
      because: { kind: 'spec', path: 'volumes.0', at: { line: 4 } },
    },
  ]);
});

it('an outline has the same demands as the compiled container', () => {
  const options = {
    user: { user: 'unknown' },
    namespaces: { net: HOST },
    volumes: [bindOf('/data')],
  };
  const document = { ...testDocument(options), folder: '/project' };
  const known = { ...document, spec: { ...document.spec, user: { user: 'root' }, command: ['x'] } };
  expect(outline(document, ROOT_HOST).demands).toEqual(compile(known, image, ROOT_HOST).demands);
});

describe('the name of a variable', () => {
  it.each([
    'GITHUB_TOKEN',
    'NPM_TOKEN',
    'AWS_SECRET_ACCESS_KEY',
    'PGPASSWORD',
    'MYSQL_PWD',
    'DB_PASS',
    'apiKey',
    'SENTRY_DSN',
    'CI_JOB_JWT',
    'VAULT_AUTH',
    'KEY',
  ])('%s sounds secret', (name) => expect(isSecretName(name)).toBe(true));
  it.each([
    'PATH',
    'PWD',
    'OLDPWD',
    'HOME',
    'LANG',
    'IMAGE_TAG',
    'KEYBOARD',
    'MONKEY',
    'PATTERN',
    'CI',
    'AUTHOR',
    'DB_PASSWORD_FILE',
    'PUBLIC_KEY',
  ])('%s does not sound secret', (name) => expect(isSecretName(name)).toBe(false));
});
