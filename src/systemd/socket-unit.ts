/** The text of a systemd unit whose sockets a container gets (systemd.socket(5)). Pure. */
import { BoxctlError } from '../errors.ts';
import { safe } from '../text/safe.ts';
import { plain, WRITTEN_BY } from './unit.ts';

const LISTEN = ['ListenStream', 'ListenDatagram', 'ListenSequentialPacket'] as const;
/** Of systemd.socket(5), what makes sockets and nothing else. */
const PROPERTIES: readonly string[] = [
  ...LISTEN,
  'SocketProtocol',
  'BindIPv6Only',
  'Backlog',
  'BindToDevice',
  'SocketUser',
  'SocketGroup',
  'SocketMode',
  'DirectoryMode',
  'KeepAlive',
  'KeepAliveTimeSec',
  'KeepAliveIntervalSec',
  'KeepAliveProbes',
  'NoDelay',
  'Priority',
  'DeferAcceptSec',
  'ReceiveBuffer',
  'SendBuffer',
  'IPTOS',
  'IPTTL',
  'Mark',
  'ReusePort',
  'FreeBind',
  'Transparent',
  'Broadcast',
  'PassCredentials',
  'PassSecurity',
  'TCPCongestion',
  'RemoveOnStop',
  'Symlinks',
  'FileDescriptorName',
  'TriggerLimitIntervalSec',
  'TriggerLimitBurst',
];

const fail = (message: string, hint: string): never => {
  throw new BoxctlError('E_USAGE', message, { hint });
};

/** `NAME=VALUE`, as systemd-run(1) has it. The value is systemd's own, with its specifiers. */
function checked(property: string): string {
  const [, name = '', value = ''] = /^([A-Za-z0-9]+)=([^\p{Cc}]*)$/u.exec(property) ?? [];
  const example = 'boxctl install --socket-property ListenStream=127.0.0.1:8080';
  if (name === '' || value.trim() === '') fail(`--socket-property ${safe(property)} is no NAME=VALUE`, example);
  if (name === 'Accept') {
    fail('--socket-property Accept would start a container for each connection', 'the container accepts them itself');
  }
  if (!PROPERTIES.includes(name)) {
    fail(`--socket-property ${safe(name)} is none of those that make sockets`, PROPERTIES.join(', '));
  }
  return `${name}=${value}`;
}

/**
 * The unit for the container's own, which has the same name but for `.service`.
 *
 * @throws BoxctlError E_USAGE where a property is none of a socket, or none of them says what is listened at
 */
export function socketUnitText(name: string, properties: readonly string[]): string {
  const lines = properties.map(checked);
  if (!lines.some((line) => LISTEN.some((key) => line.startsWith(`${key}=`)))) {
    fail('no --socket-property says where the sockets listen', LISTEN.map((key) => `${key}=`).join(', '));
  }
  return `${[
    WRITTEN_BY,
    '[Unit]',
    `Description=${plain(`Sockets of the container ${name} (boxctl)`)}`,
    '',
    '[Socket]',
    ...lines,
    '',
    '[Install]',
    'WantedBy=sockets.target',
  ].join('\n')}\n`;
}
