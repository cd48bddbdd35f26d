// Changes the launcher's own lines in the text of a hosts(5) file that is somebody else's.
#pragma once

#include "../shared/list.h"

namespace boxctl {

// Puts `text` with `lines` in it into `result`, which shares nothing with either. The lines stand between two marks of
// the launcher's: where those are, or at the end. Names that the text has outside of them are left out, and without any
// name left, the marks are left out, too. `from`: all before it is as it was. False: there is no memory.
bool with_hosts(const List<char>& text, const List<char>& lines, List<char>& result, size_t& from);

}  // namespace boxctl
