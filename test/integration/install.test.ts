/** `boxctl install` and `uninstall`: what they write, and what systemd itself says of it. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { box } from '../support/background.ts';
import { hasBusybox } from '../support/busybox.ts';
import { callers } from '../support/container.ts';

const hasAnalyze = spawnSync('systemd-analyze', ['--version']).status === 0;

describe.skipIf(!hasBusybox).each(callers)('a unit for $title', (caller) => {
  test('is written for the user, is right for systemd, and is removed again', async () => {
    const web = box({ restart: 'always', stop_grace_period: '3s' }, caller);
    const config = join(web.folder, 'config');
    const env = { XDG_CONFIG_HOME: config };
    const installed = await web.run(['install', '--user'], { env });
    const path = join(config, `systemd/user/boxctl-${web.name}.service`);
    expect(installed).toMatchObject({ status: 0, stdout: `${path}\n` });
    expect(installed.stderr).toContain(`systemctl --user enable --now boxctl-${web.name}.service`);
    const text = readFileSync(path, 'utf8');
    expect(text).toContain(`up --quiet ${join(web.folder, 'container.yaml')}\n`);
    expect(text).toContain('Restart=always\n');
    expect(text).toContain('TimeoutStopSec=8\n');
    if (hasAnalyze) {
      const own = { ...process.env, XDG_RUNTIME_DIR: web.folder };
      execFileSync('systemd-analyze', ['verify', '--user', path], { stdio: 'pipe', env: own });
    }
    // It may be written again, as it is boxctl's own.
    expect(await web.run(['install', '--user'], { env })).toMatchObject({ status: 0 });
    expect(await web.run(['uninstall', '--user'], { env })).toMatchObject({ status: 0 });
    expect(existsSync(path)).toBe(false);
    expect((await web.run(['uninstall', '--user'], { env })).stderr).toContain(
      `there is no unit boxctl-${web.name}.service`,
    );
  });

  test('takes no place of another unit, and has no value of the environment that the file takes', async () => {
    const web = box({ environment: { A: '${WORD}', NOTIFY_SOCKET: '${NOTIFY_SOCKET}' } }, caller);
    const config = join(web.folder, 'config');
    const env = { XDG_CONFIG_HOME: config, WORD: 'zq7value' };
    mkdirSync(join(config, 'systemd/user'), { recursive: true, mode: 0o755 });
    const path = join(config, 'systemd/user/boxctl-mine.service');
    writeFileSync(path, '[Service]\nExecStart=/bin/true\n');
    const refused = await web.run(['install', '--user', '--name', 'mine'], { env });
    expect(refused.status).toBe(125);
    expect(refused.stderr).toContain(`${path} was not written by boxctl`);
    const bad = await web.run(['install', '--user', '--name', '../x'], { env });
    expect(bad.stderr).toContain('is not a name of a unit');
    if (caller.title !== 'root') return;
    const installed = await web.run(['install', '--user'], { env });
    expect(installed.stderr).toContain('the file takes WORD of your environment');
    const text = readFileSync(installed.stdout.trim(), 'utf8');
    expect(text).toContain('Type=notify\n');
    expect(text).not.toContain('zq7value');
  });
});
