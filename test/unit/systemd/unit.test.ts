import { describe, expect, it } from 'vitest';
import { socketUnitText } from '../../../src/systemd/socket-unit.ts';
import { quoteWord, unitText, type UnitWanted } from '../../../src/systemd/unit.ts';

const WANTED: UnitWanted = {
  name: 'web',
  command: ['/usr/bin/node', '/opt/boxctl/dist/boxctl.cjs', 'up', '--quiet', '/srv/web/container.yaml'],
  folder: '/srv/web',
  environment: { PATH: '/usr/bin:/bin' },
  notifies: false,
  restart: 'on-failure',
  graceMs: 10_000,
  user: false,
};

describe('the unit of a container', () => {
  it('runs boxctl in the foreground, and ends after the container', () => {
    expect(unitText(WANTED)).toBe(`# Written by \`boxctl install\`; \`boxctl uninstall\` removes it.
[Unit]
Description=Container web (boxctl)
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
WorkingDirectory=/srv/web
Environment="PATH=/usr/bin:/bin"
ExecStart=/usr/bin/node /opt/boxctl/dist/boxctl.cjs up --quiet /srv/web/container.yaml
KillMode=mixed
TimeoutStopSec=15
Restart=on-failure
RestartSec=1
Delegate=yes

[Install]
WantedBy=multi-user.target
`);
  });

  it('of a user begins with the session, and one that notifies says itself when it is ready', () => {
    const text = unitText({ ...WANTED, user: true, notifies: true, restart: 'no' });
    expect(text).toContain('WantedBy=default.target');
    expect(text).not.toContain('network-online');
    expect(text).toContain('Type=notify\nNotifyAccess=all\n');
    expect(text).toContain('Restart=no\n');
    expect(text).not.toContain('RestartSec');
  });

  it('that gets sockets is started by them, and has a unit for them', () => {
    const text = unitText({ ...WANTED, socket: 'boxctl-web.socket' });
    expect(text).toContain('Requires=boxctl-web.socket\n');
    expect(text.endsWith('\n[Install]\nAlso=boxctl-web.socket\n')).toBe(true);
    expect(socketUnitText('web', ['ListenStream=%t/web.sock', 'SocketMode=0600']))
      .toBe(`# Written by \`boxctl install\`; \`boxctl uninstall\` removes it.
[Unit]
Description=Sockets of the container web (boxctl)

[Socket]
ListenStream=%t/web.sock
SocketMode=0600

[Install]
WantedBy=sockets.target
`);
  });

  it('has paths and values as they are, whatever characters they have', () => {
    const text = unitText({
      ...WANTED,
      folder: '/srv/my 100% "$web"',
      environment: { A: 'a "b" \\ $HOME %h\nnext\ttab' },
      command: ['/usr/bin/node', '/srv/my 100% "$web"/container.yaml', "it's", ''],
    });
    expect(text).toContain('WorkingDirectory=/srv/my 100%% "$web"\n');
    expect(text).toContain('Environment="A=a \\"b\\" \\\\ $HOME %%h\\nnext\\ttab"\n');
    expect(text).toContain(`ExecStart=/usr/bin/node "/srv/my 100%% \\"$$web\\"/container.yaml" "it's" ""\n`);
    for (const line of text.split('\n')) expect(line === '' || /^(?:#|\[|\w+=)/u.test(line), line).toBe(true);
  });

  it('escapes characters that would end a line or a word', () => {
    expect(quoteWord('\u0001\u007f')).toBe('"\\x01\\x7f"');
    expect(quoteWord('é')).toBe('"é"');
  });
});
