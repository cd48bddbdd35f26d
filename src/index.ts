/** boxctl as a library: `runContainer` for the whole way, and the stages, each usable by itself. */
export { ERROR_CODES, type ErrorCode } from './error-codes.ts';
export { BoxctlError, type Diagnostic, type Position } from './errors.ts';
export { loadSpec, loadSpecText, type LoadOptions } from './spec/load.ts';
export type { Spec, SpecDocument } from './spec/spec.ts';
export { formatDiagnostics } from './yaml/frame.ts';
export { gatherHostFacts } from './host/gather.ts';
export type { HostFacts } from './host/facts.ts';
export { ensureImage, findImage, previewImage } from './image/resolve.ts';
export { packHostTools } from './image/pack.ts';
export type { ImageFacts, Ownership } from './model/image.ts';
export { compile, imageOwnership, outline, ownershipFor, type Claims, type Overrides } from './model/compile.ts';
export { allowance } from './model/demands.ts';
export { type Demand, type DemandKind } from './model/demand.ts';
export { parsePermit, unpermitted, type Permit } from './trust/permits.ts';
export { readPolicies } from './trust/policy.ts';
export { audit, type Finding, type Severity } from './review/audit.ts';
export { diff, type Change, type Direction } from './review/diff.ts';
export { refuseUnpermitted } from './trust/refuse.ts';
export { writeBundle } from './container/bundle.ts';
export type { Model } from './model/model.ts';
export type { OciConfig } from './oci/config.ts';
export { planContainer } from './plan/container.ts';
export { planToJson } from './show/plan-json.ts';
export { printPlan } from './show/plan-text.ts';
export type { Plan, Step } from './plan/plan.ts';
export { endingOf, type Ending, type LimitHit } from './run/ending.ts';
export { explainFailure } from './run/explain.ts';
export type { LaunchEvent, Outcome } from './launcher/events.ts';
export { launch, type Launch } from './launcher/launch.ts';
export type { LaunchOptions } from './launcher/start-launcher.ts';
export { writeLearned, type Learned } from './run/learned.ts';
export { syscallName } from './kernel/machines.ts';
export { describeObserved } from './run/observed.ts';
export { runContainer, type RunOptions } from './container/run.ts';
export { prepare, type Judge, type Prepared, type PrepareOptions } from './container/prepare.ts';
export { previewPlan, checkDocument } from './container/preview.ts';
export { SILENT, type ImportListener, type ImportReporter, type Reporter } from './container/reporter.ts';
export type { Progress } from './show/progress-interface.ts';
export { claimIds, type IdClaim } from './state/id-ranges.ts';
export { sweepState } from './state/sweep.ts';
export { startInBackground, type Started } from './container/background.ts';
export { execInContainer, planExecIn, type ExecOptions, type ExecRunOptions } from './container/exec.ts';
export { copyFrom, copyTo, type ContainerPath, type CopyOptions } from './container/copy-files.ts';
export { changesOf, type Change as FileChange } from './container/changes.ts';
export { readLog, type LogOptions } from './container/logs.ts';
export { cpuPercent, sampleOf, type Sample } from './container/stats.ts';
export { killContainer } from './container/kill.ts';
export { pauseContainer, unpauseContainer } from './container/pause.ts';
export {
  controlOf,
  findContainer,
  findRunning,
  stateOf,
  type ContainerState,
  type RunningContainer,
} from './container/existing.ts';
export { removePlace } from './state/container-folders.ts';
export { keptContainers, type KeptContainer } from './state/containers.ts';
export {
  openTemplate,
  startContainer,
  type ContainerTemplate,
  type TemplateOptions,
  type TemplateStartOptions,
} from './container/template.ts';
export {
  Box,
  type BoxEvents,
  type BoxOptions,
  type BoxPort,
  type BoxResult,
  type SignalName,
} from './container/box.ts';
export { type StandardFile, type StandardFiles } from './container/box-streams.ts';
export { dismissLauncher } from './native.ts';
