/** The interface that a run reports to. The command line's draws and prints; a library's caller may pass another. */
import type { Position } from '../errors.ts';
import type { ImportProgress } from '../image/import-job.ts';
import type { ImageRecord } from '../image/records.ts';
import type { Plan } from '../plan/plan.ts';
import type { Progress } from '../show/progress-interface.ts';

export interface ImportListener {
  progress(progress: ImportProgress): void;
  /** Another process imports the same image, and is waited for. */
  waiting(): void;
  /** A registry did not answer as it should, and is asked again after so many milliseconds. */
  retrying(why: string, delay: number): void;
  /** The image is in the store now. Not called for layers and archives that were there already. */
  imported(record: ImageRecord): void;
  /** Resolves when nothing of the import is left to be drawn. `failed`: the import failed, or was interrupted. */
  end(failed: boolean): Promise<void>;
}

/** What an image's import needs of a reporter. */
export interface ImportReporter {
  /** Something is other than the file says, and the container starts nevertheless. */
  warning(message: string, at: Position | undefined): void;
  /** Called before an image is imported. `title` is what a person calls the image. */
  importing(title: string): ImportListener;
}

export interface Reporter extends ImportReporter {
  /** Something about the run that the exit status alone does not tell. */
  notice(message: string, at: Position | undefined): void;
  /** Called before a plan is launched. The result gets the event of each step, and may delay the command until it has drawn. */
  launching(plan: Plan): Progress;
}

const nothing = (): void => undefined;
const resolved = async (): Promise<void> => undefined;

export const SILENT_IMPORT: ImportListener = {
  progress: nothing,
  waiting: nothing,
  retrying: nothing,
  imported: nothing,
  end: resolved,
};

export const SILENT: Reporter = {
  warning: nothing,
  notice: nothing,
  importing: () => SILENT_IMPORT,
  launching: () => ({ draws: false, terse: true, event: nothing, finish: resolved }),
};
