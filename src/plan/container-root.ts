/** The container's root file system: who prepares what of it, and in which order the first process builds and enters it. */
import type { ImageFacts } from '../model/image.ts';
import { NO_FD, type Fd } from '../kernel/calls.ts';
import { readProgram } from './command.ts';
import { inside, onHost, type PlanContext } from './context.ts';
import { makeDevOnHost, openNodes, populateDev } from './dev.ts';
import { holdImage, openLayers, shiftLayers } from './layers.ts';
import {
  attachMounts,
  makeFileSystems,
  makeSources,
  openBinds,
  restrictBinds,
  shiftBinds,
  type Prepared,
  type Taken,
} from './mounts.ts';
import { addEntries, attachCovers, makeHome } from './own-files.ts';
import { maskPaths, protectPaths } from './restricted-paths.ts';
import { buildRoot, makeRootReadOnly, makeUpper, openUpper, pivot, upperPath } from './root.ts';
import { byDefault, makeFolder, splitPath } from './steps.ts';
import { setSysctls } from './sysctls.ts';
import { openTerminal, type Terminal } from './terminal.ts';
import { openUserNamespace, USERNS } from './users.ts';

/** The steps that build the container's root file system, mount into it, and enter it. */
export class ContainerRoot {
  readonly #context: PlanContext;
  readonly #image: ImageFacts;
  #layers: readonly Fd[] = [];
  #disk: Fd | undefined;
  #binds: readonly Prepared<Taken>[] = [];
  #systems: readonly Prepared[] = [];
  #proc: Fd | undefined;

  constructor(context: PlanContext, image: ImageFacts) {
    this.#context = context;
    this.#image = image;
  }

  /** Locks and folders on the host, and what only a privileged launcher may open. */
  prepareOnHost(): void {
    holdImage(this.#context, this.#image);
    makeSources(this.#context);
    if (this.#context.host.privileged) showModes(this.#context, onHost, 'umask.host');
    makeUpper(this.#context, this.#removedFrom());
    if (this.#context.host.privileged) this.#take();
    if (this.#context.host.privileged && !this.#context.shiftsOwners) shiftBinds(this.#context, this.#binds, undefined);
    makeDevOnHost(this.#context);
  }

  /** What an ordinary user's first process opens, while it still has the caller's ids. */
  takeInside(): void {
    if (!this.#context.host.privileged) this.#take();
  }

  /** By the launcher, once the maps are written: the user namespace, where anything is done with it later. */
  openUsers(): void {
    const context = this.#context;
    if (context.namespace('user').kind !== 'private') return;
    if (context.shiftsOwners || this.#removedFrom() !== NO_FD) openUserNamespace(context);
  }

  /** By the launcher, with what `openUsers` has opened. */
  shift(): void {
    const context = this.#context;
    if (!context.shiftsOwners) return;
    if (this.#image.ownership === undefined) shiftLayers(context, this.#layers, USERNS);
    shiftBinds(context, this.#binds, USERNS);
  }

  /** Not where the layers are in memory already, as those are that lie in folders or stay mounted. */
  readProgram(): void {
    const lowest = this.#layers[0];
    if (!this.#context.host.privileged || this.#context.mounted !== undefined || lowest === undefined) return;
    if (this.#image.layers[0]?.kind === 'erofs') readProgram(this.#context, lowest);
  }

  /** What needs nothing of `prepareOnHost`. */
  makeInside(): void {
    const context = this.#context;
    this.#systems = makeFileSystems(context);
    this.#proc = this.#systems.find(({ mount }) => mount.target === '/proc')?.fd;
    if (this.#proc !== undefined) setSysctls(context, this.#proc);
  }

  /** Returns the terminal, and the descriptor of the container's /proc. */
  buildInside(): { readonly terminal: Terminal | undefined; readonly proc: Fd | undefined } {
    const context = this.#context;
    const systems = this.#systems;
    restrictBinds(context, this.#binds);
    const nodes = openNodes(context);
    const proc = this.#proc ?? this.#binds.find(({ mount }) => mount.target === '/proc')?.fd;
    if (this.#proc === undefined) setSysctls(context, proc);
    const { root, covers, given } = buildRoot(context, this.#layers, this.#disk);
    pivot(context, root);
    // Before anything of the host is mounted: a link of the image could lead there.
    addEntries(context);
    attachCovers(context, covers);
    makeHome(context, false);
    let dev: Fd | undefined;
    const all = [...systems, ...this.#binds, ...given];
    // The terminal needs devpts. The descriptor stays valid after the mount is attached.
    attachMounts(context, all, (fd) => {
      dev = fd;
      populateDev(context, fd, nodes);
    });
    makeHome(context, true);
    protectPaths(context);
    maskPaths(context);
    const { cwd } = context.model.config.process;
    if (splitPath(cwd).length > 0) {
      makeFolder(context.steps, inside('root', context.model.because('process.cwd')), 'cwd', cwd);
    }
    const devpts = systems.find(({ mount }) => mount.kind === 'new' && mount.type === 'devpts')?.fd;
    const terminal = openTerminal(context, devpts, dev);
    makeRootReadOnly(context);
    return { terminal, proc };
  }

  #take(): void {
    this.#layers = openLayers(this.#context, this.#image);
    this.#disk = openUpper(this.#context);
    this.#binds = openBinds(this.#context);
  }

  /** The user namespace that the writable layer must be removed from; none where the launcher may do it itself. */
  #removedFrom(): Fd {
    const context = this.#context;
    if (context.host.privileged || context.kept || upperPath(context) === undefined) return NO_FD;
    return context.namespace('user').kind === 'path' ? 'join.user' : USERNS;
  }
}

/** Without a umask, what is made has the mode that its step says. */
export function showModes({ steps }: PlanContext, side: typeof onHost, id: string): void {
  steps.add(side('root', byDefault('modes as they are written here')), id, 'umask', { mask: 0 });
}
