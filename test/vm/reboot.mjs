// For the virtual machine of `npm run test:vm` alone, as root. The first time, root and an ordinary user each leave a container
// running and install another one as a unit, and then the kernel is started once more, as after a loss of power: nothing is
// stopped, memory is lost, disks stay. (The emulator would end at a usual reboot.) The second time nothing is done:
// reboot.test.ts looks at what has become of the containers.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';

const MARKER = '/var/lib/was-started-again';
/** On the machine's own disk: units are started before the project is there. */
const INSTALLED = '/opt/boxctl';

// kexec_file_load(2) without an initrd, sync(2), and reboot(2) into what was loaded.
const START_KERNEL = String.raw`
my ($kernel) = glob("/boot/vmlinuz-*");
open(my $file, "<", $kernel) or die "$kernel: $!";
open(my $proc, "<", "/proc/cmdline") or die $!;
chomp(my $line = <$proc>);
$line .= "\0";
syscall(320, fileno($file), -1, length($line), $line, 4) == 0 or die "kexec_file_load: $!";
syscall(162);
syscall(169, 0xfee1dead, 672274793, 0x45584543, 0) == 0 or die "reboot: $!";
`;

const specOf = (name, command) =>
  `name: ${name}\nimage: {host_tools: [sh, sleep, wc]}\nstop_grace_period: 1s\ncommand: ${JSON.stringify(command)}\n`;

function leave(user, folder) {
  mkdirSync(folder);
  const wait = 'trap "exit 3" TERM; while :; do sleep 1; done';
  writeFileSync(
    `${folder}/kept.yaml`,
    specOf('kept', ['sh', '-c', `echo run >>/runs; wc -l </runs; ${wait.replaceAll('$', '$$$$')}`]),
  );
  writeFileSync(`${folder}/unit.yaml`, specOf('unit', ['sh', '-c', wait]));
  const boxctl = `node ${INSTALLED}/dist/boxctl.cjs`;
  const script = `cd ${folder} && ${boxctl} up --detach kept.yaml && ${boxctl} install --now unit.yaml`;
  const words = user === 'root' ? ['bash', '-c', script] : ['su', '-l', user, `--command=${script}`];
  execFileSync(words[0], words.slice(1), { stdio: 'inherit' });
}

if (!existsSync(MARKER)) {
  for (const name of ['dist', 'package.json']) cpSync(name, `${INSTALLED}/${name}`, { recursive: true });
  leave('root', '/var/lib/reboot-root');
  leave('dev', '/var/lib/reboot-dev');
  // This machine has another target by default.
  execFileSync('systemctl', ['add-wants', 'vm.target', 'boxctl-unit.service'], { stdio: 'inherit' });
  writeFileSync(MARKER, '');
  execFileSync('perl', ['-e', START_KERNEL], { stdio: 'inherit' });
}
