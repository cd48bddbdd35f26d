// Written by `npm run generate` from src/kernel/wire.ts.
#pragma once

namespace boxctl {

inline constexpr int kPlanFd = 3;
inline constexpr int kControlFd = 4;
// All of the launcher, the three of the caller included.
inline constexpr int kLauncherFds = 5;
// They follow these: PlanHeader::kept_fds.
inline constexpr int kMaxKeptFds = 48;
// The sockets of the command.
inline constexpr int kFirstSocket = 3;
inline constexpr int kMaxSockets = 32;

inline constexpr int kArchiveFd = 0;
inline constexpr int kOutputFd = 1;
inline constexpr int kReportFd = 2;

}  // namespace boxctl
