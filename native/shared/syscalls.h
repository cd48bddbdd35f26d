// Numbers of system calls that the C library's headers of older systems do not have. From 424 on they are the same for
// all architectures.
#pragma once

namespace boxctl {

constexpr long kSysPidfdSendSignal = 424;
constexpr long kSysOpenTree = 428;
constexpr long kSysMoveMount = 429;
constexpr long kSysFsopen = 430;
constexpr long kSysFsconfig = 431;
constexpr long kSysFsmount = 432;
constexpr long kSysPidfdOpen = 434;
constexpr long kSysClone3 = 435;
constexpr long kSysCloseRange = 436;
constexpr long kSysOpenat2 = 437;
constexpr long kSysFaccessat2 = 439;
constexpr long kSysMountSetattr = 442;
constexpr long kSysLandlockCreateRuleset = 444;
constexpr long kSysLandlockRestrictSelf = 446;

}  // namespace boxctl
