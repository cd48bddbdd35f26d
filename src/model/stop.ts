/** How the command is told to end, how long it may run, and when it is started again. */
import type { ImageFacts } from './image.ts';
import type { Spec } from '../spec/spec.ts';
import { parseSignal } from '../text/units.ts';
import { DEFAULT_STOP, type Model } from './model.ts';
import type { Problems } from './problems.ts';
import type { Reasons } from './reasons.ts';

/** SIGRTMIN+3, by which systemd ends all that it has started and itself (systemd(1), "Signals"). */
const SYSTEMD_STOP = 37;

/** An image may say how its command wants to be stopped; what cannot be read is an error. */
function imageSignal(image: ImageFacts | undefined, problems: Problems): number | undefined {
  const text = image?.defaults.stopSignal;
  if (text === undefined) return undefined;
  const signal = parseSignal(text);
  if (signal === undefined) {
    problems.add(
      'E_IMAGE_STOP_SIGNAL',
      'image',
      `the image wants to be stopped by "${text}", which is no signal`,
      'set `stop_signal`',
    );
  }
  return signal;
}

export function compileStop(
  spec: Spec,
  image: ImageFacts | undefined,
  reasons: Reasons,
  problems: Problems,
): Pick<Model, 'stop' | 'timeLimitMs' | 'restart'> {
  reasons.set('stop.signal', 'stop_signal', 'stop signal');
  reasons.set('stop.graceMs', 'stop_grace_period', 'grace period');
  reasons.set('restart', 'restart', 'no restart');
  reasons.set('timeLimitMs', 'limits.time', 'time limit');
  const fromImage = spec.stopSignal === undefined ? imageSignal(image, problems) : undefined;
  return {
    stop: {
      signal: spec.stopSignal ?? fromImage ?? (spec.systemd ? SYSTEMD_STOP : DEFAULT_STOP.signal),
      graceMs: spec.stopGracePeriod ?? DEFAULT_STOP.graceMs,
    },
    ...(spec.restart === undefined ? {} : { restart: spec.restart }),
    timeLimitMs: spec.limits.time,
  };
}
