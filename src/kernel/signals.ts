/** Signals and times as a file would say them. */

/** signal(7), from 1 on; the same on x86-64 and arm64. */
const SIGNALS = `
  HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU
  XFSZ VTALRM PROF WINCH IO PWR SYS
`
  .trim()
  .split(/\s+/u);
const SIGRTMIN = 34;
export const SIGSYS = 31;

/** `SIGTERM`; the real-time signals as kill(1) spells them, `SIGRTMIN+3`. */
export function signalName(signal: number): string {
  const name = SIGNALS[signal - 1];
  if (name !== undefined) return `SIG${name}`;
  if (signal < SIGRTMIN) return `signal ${signal}`;
  return signal === SIGRTMIN ? 'SIGRTMIN' : `SIGRTMIN+${signal - SIGRTMIN}`;
}
