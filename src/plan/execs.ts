/**
 * The plans of commands that the launcher runs in its own container: the health check, and hooks. They are those of `boxctl exec`
 * (exec.ts), and are made before the container is there: its first process and its cgroups stand in them as variables.
 */
import type { Model } from '../model/model.ts';
import type { ModelExec } from '../model/execs.ts';
import { CONTAINER, layoutOf } from './cgroup-layout.ts';
import type { PlanContext } from './context.ts';
import { planExec, type ExecTarget } from './exec.ts';
import type { PlannedExec } from './plan.ts';
import { literal } from './steps.ts';

const SIGKILL = 9;

/** As a command that `boxctl exec` runs finds them in /proc (src/container/exec.ts). */
function targetOf(context: PlanContext): ExecTarget {
  const { leaf, rules, versionOne, unified } = layoutOf(context);
  const devices = rules?.home.version === 1 ? [`${literal(rules.home.dir)}/${leaf}/${CONTAINER}`] : [];
  const folders = [...versionOne.map(({ path }) => path), ...devices];
  return {
    pid: { template: '$TARGET' },
    birth: { template: '$TARGET_BIRTH' },
    tasks: folders.map((folder) => ({ template: `${folder}/tasks` })),
    unified:
      unified === undefined
        ? undefined
        : { template: `${outerOf(unified.home, leaf)}/${CONTAINER}${ofSystemd(context)}` },
  };
}

/** The launcher itself is in a child of a scope. */
function outerOf({ kind, dir }: { readonly kind: string; readonly dir: string }, leaf: string): string {
  return kind === 'scope' ? `${literal(dir)}$CGROUP/..` : `${literal(dir)}/${leaf}`;
}

/** A cgroup that hands controllers on has no processes of its own: systemd's own are in this one. */
const ofSystemd = ({ model }: PlanContext): string => (model.systemd === true ? '/init.scope' : '');

function modelFor(model: Model, { process, because }: ModelExec): Model {
  return {
    ...model,
    config: { ...model.config, process },
    stdinOpen: false,
    because: (path) => (path.startsWith('process.') ? because : model.because(path)),
  };
}

/** In the foreground nobody asks whether a container is healthy. */
export function planExecs(context: PlanContext): readonly PlannedExec[] {
  const { model, host, kept } = context;
  const all = (model.execs ?? []).filter(({ kind }) => kept || kind !== 'health');
  if (all.length === 0) return [];
  const target = targetOf(context);
  return all.map((exec) => {
    const { kind, because, times } = exec;
    const plan = planExec(modelFor(model, exec), host, target);
    return {
      kind,
      because,
      plan: {
        ...plan,
        stop: { signal: SIGKILL, graceMs: 0 },
        ...(times === undefined ? {} : { timeLimit: { ms: times.timeout, because } }),
      },
      ...(times === undefined ? {} : { times }),
    };
  });
}
