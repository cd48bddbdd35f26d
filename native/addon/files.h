// What Node's own file functions lack: paths confined to a root, locks, pipes.
#pragma once

#include <napi.h>

namespace boxctl {

// readInRoot(root: string, path: string, maxBytes: number): Buffer | undefined
Napi::Value read_in_root(const Napi::CallbackInfo& info);
// statInRoot(root: string, path: string): { mode, size, uid, gid } | undefined
Napi::Value stat_in_root(const Napi::CallbackInfo& info);

// openOwn(path: string, folder: boolean): number
Napi::Value open_own(const Napi::CallbackInfo& info);
// tryLock(fd: number, exclusive: boolean): boolean
Napi::Value try_lock(const Napi::CallbackInfo& info);
// pipe(): [read: number, write: number]
Napi::Value make_pipe(const Napi::CallbackInfo& info);
// terminalState(fd: number): Buffer | undefined; restoreTerminal(fd: number, state: Buffer): void
Napi::Value terminal_state(const Napi::CallbackInfo& info);
Napi::Value restore_terminal(const Napi::CallbackInfo& info);
// terminalColumns(fd: number): number. 0 where it is no terminal, or does not say.
Napi::Value terminal_columns(const Napi::CallbackInfo& info);
// terminalRows(fd): likewise.
Napi::Value terminal_rows(const Napi::CallbackInfo& info);

}  // namespace boxctl
