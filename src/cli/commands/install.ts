import { realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import { BoxctlError } from '../../errors.ts';
import { isSecretName } from '../../model/secrets.ts';
import { DEFAULT_STOP } from '../../model/model.ts';
import type { SpecDocument } from '../../spec/spec.ts';
import { hasUnit, removeUnit, systemctl, unitPlace, writeUnits, type UnitPlace } from '../../systemd/install.ts';
import { socketUnitText } from '../../systemd/socket-unit.ts';
import { unitText, type UnitWanted } from '../../systemd/unit.ts';
import { safe } from '../../text/safe.ts';
import type { Invocation, Run } from '../command.ts';
import { loadDocument, specFile } from '../environment.ts';
import { homeOf } from '../home.ts';
import { writeMessage, writeOutput } from '../output.ts';

/** Where systemd listens; the value in a unit's own environment is another, and only its presence counts here. */
const NOTIFY = '/run/systemd/notify';

/** What boxctl itself looks at, where the caller has set it. */
const OWN = [
  'BOXCTL_STORE',
  'XDG_DATA_HOME',
  'XDG_CONFIG_HOME',
  'CONTAINERS_REGISTRIES_CONF',
  'REGISTRY_AUTH_FILE',
] as const;

function isUserUnit({ args }: Invocation): boolean {
  return args.flag('user') || process.geteuid?.() !== 0;
}

function placeFor(invocation: Invocation, name: string): UnitPlace {
  const { env } = invocation;
  return unitPlace(invocation.args.value('name') ?? name, isUserUnit(invocation), { env, home: homeOf(env) });
}

/** With a NOTIFY_SOCKET, which a unit has when it runs. */
function documentOf(invocation: Invocation): SpecDocument {
  const env = { ...invocation.env, NOTIFY_SOCKET: invocation.env['NOTIFY_SOCKET'] ?? NOTIFY };
  return loadDocument({ ...invocation, env });
}

/** A file that says nothing is started again when it fails: that is what a unit is for. */
function restartOf({ spec: { restart }, where }: SpecDocument): UnitWanted['restart'] {
  if (restart !== undefined) return restart.when;
  return where('restart') === undefined ? 'on-failure' : 'no';
}

function wantedOf(invocation: Invocation, document: SpecDocument, socket: string | undefined): UnitWanted {
  const { args, env, cwd } = invocation;
  const own = OWN.flatMap((key) => (env[key] === undefined ? [] : [[key, env[key]] as const]));
  // Who names the sockets wants the container to have them.
  const allowed = [...new Set([...args.values('allow'), ...(socket === undefined ? [] : ['sockets'])])];
  const allows = allowed.flatMap((word) => ['--allow', word]);
  const program = realpathSync(process.argv[1] ?? '');
  const file = resolve(cwd, specFile(invocation));
  return {
    name: document.spec.name,
    command: [
      process.execPath,
      program,
      'up',
      '--quiet',
      ...allows,
      ...(args.flag('locked') ? ['--locked'] : []),
      file,
    ],
    folder: document.folder,
    environment: { PATH: env['PATH'] ?? '/usr/bin:/bin', HOME: homeOf(env), ...Object.fromEntries(own) },
    notifies: document.where('environment.NOTIFY_SOCKET') !== undefined,
    restart: restartOf(document),
    graceMs: document.spec.stopGracePeriod ?? DEFAULT_STOP.graceMs,
    user: isUserUnit(invocation),
    ...(socket === undefined ? {} : { socket }),
  };
}

/** A unit does not have the caller's variables, and none is written into it: it can be read by everybody. */
function tellVariables({ taken }: SpecDocument, unit: string): void {
  const names = [...new Set(taken.map(({ name }) => name))].filter((name) => name !== 'NOTIFY_SOCKET');
  if (names.length === 0) return;
  const how = names.some((name) => isSecretName(name))
    ? 'EnvironmentFile=, a file that only you can read'
    : 'Environment=';
  writeMessage(
    `boxctl: the file takes ${safe(names.join(', '))} of your environment, which the unit does not have: systemctl edit ${unit}, ${how}\n`,
  );
}

/** The text of its .socket unit; undefined: none is asked for. */
function socketTextOf({ args }: Invocation, { spec, where }: SpecDocument): string | undefined {
  const properties = args.values('socket-property');
  if (properties.length > 0 && spec.socketActivation === undefined) {
    const at = where('socket_activation');
    throw new BoxctlError('E_USAGE', 'the file does not ask for sockets', {
      hint: 'write `socket_activation: true` into it',
      ...(at === undefined ? {} : { at }),
    });
  }
  return properties.length === 0 ? undefined : socketUnitText(spec.name, properties);
}

/** What does not run by systemd, or where that does not run, is not stopped by it. */
function attempt(place: UnitPlace, words: readonly string[], { env }: Invocation): void {
  try {
    systemctl(place.user, words, env['PATH'] ?? '');
  } catch (error) {
    if (!(error instanceof BoxctlError)) throw error;
  }
}

export const install: Run = (invocation) => {
  const { args, env } = invocation;
  const document = documentOf(invocation);
  const place = placeFor(invocation, document.spec.name);
  const { unit, folder } = place;
  const text = socketTextOf(invocation, document);
  const socket = text === undefined ? undefined : place.socket;
  const texts = {
    [unit]: unitText(wantedOf(invocation, document, socket)),
    ...(text === undefined ? {} : { [place.socket]: text }),
  };
  if (socket === undefined && hasUnit(folder, place.socket)) {
    attempt(place, ['disable', '--now', place.socket], invocation);
    removeUnit(folder, place.socket);
  }
  writeOutput(`${writeUnits(folder, texts).join('\n')}\n`);
  tellVariables(document, unit);
  if (document.spec.socketActivation === true && socket === undefined) {
    writeMessage(
      'boxctl: the file asks for sockets, and the unit has none: boxctl install --socket-property ListenStream=8080\n',
    );
  }
  const start = ['enable', '--now', socket ?? unit];
  if (!args.flag('now')) {
    const how = ['systemctl', ...(place.user ? ['--user'] : []), ...start].join(' ');
    const when = socket === undefined ? 'starts it, now and' : 'opens the sockets that start it, now and';
    writeMessage(`boxctl: ${how} ${when} with ${place.user ? 'your session' : 'the machine'}\n`);
    return 0;
  }
  systemctl(place.user, ['daemon-reload'], env['PATH'] ?? '');
  systemctl(place.user, start, env['PATH'] ?? '');
  return 0;
};

/** By `--name`, or by the name in the file. */
export const uninstall: Run = (invocation) => {
  const { args } = invocation;
  const name = args.value('name') ?? documentOf(invocation).spec.name;
  const place = placeFor(invocation, name);
  const { unit, socket, folder } = place;
  const found = [socket, unit].filter((one) => hasUnit(folder, one));
  if (found.length === 0) {
    throw new BoxctlError('E_UNIT_NOT_FOUND', `there is no unit ${unit} in ${folder}`, {
      hint: place.user ? 'boxctl uninstall as root for one of the system' : 'boxctl uninstall --user for one of a user',
    });
  }
  // The sockets first: a connection would start it again.
  for (const one of found) attempt(place, ['disable', '--now', one], invocation);
  for (const one of found) removeUnit(folder, one);
  attempt(place, ['daemon-reload'], invocation);
  writeOutput(`${unit}\n`);
  return 0;
};
