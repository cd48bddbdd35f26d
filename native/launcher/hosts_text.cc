#include "hosts_text.h"

#include <string.h>

namespace boxctl {
namespace {

constexpr char kBegin[] = "# Containers on the same networks, kept up to date:\n";
constexpr char kEnd[] = "# (end of these)\n";

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// Where the last line that begins with `part` is, of those that end before `limit`. False: there is none.
bool find_last(const List<char>& text, const char* part, size_t limit, size_t& found) {
  const size_t size = strlen(part);
  for (size_t end = limit; end >= size; end--) {
    const size_t at = end - size;
    if ((at > 0 && text[at - 1] != '\n') || memcmp(text.begin() + at, part, size) != 0) continue;
    found = at;
    return true;
  }
  return false;
}

// Whether a line gives the name. An address counts as a name, too: no name looks like one.
bool has_word(const List<char>& text, const char* word, size_t size) {
  bool comment = false;
  for (size_t at = 0; at < text.size();) {
    if (is_space(text[at]) || text[at] == '#') {
      if (text[at] == '#') comment = true;
      if (text[at] == '\n') comment = false;
      at++;
      continue;
    }
    size_t end = at;
    while (end < text.size() && !is_space(text[end]) && text[end] != '#') end++;
    if (!comment && end - at == size && memcmp(text.begin() + at, word, size) == 0) return true;
    at = end;
  }
  return false;
}

// The line without the names that `rest` has; nothing where none is left.
bool add_free(const char* line, size_t size, const List<char>& rest, List<char>& to) {
  size_t at = 0;
  while (at < size && !is_space(line[at])) at++;
  const size_t address = at;
  bool any = false;
  while (at < size) {
    while (at < size && is_space(line[at])) at++;
    const size_t from = at;
    while (at < size && !is_space(line[at])) at++;
    if (at == from || has_word(rest, line + from, at - from)) continue;
    const char separator = any ? ' ' : '\t';
    if (!any && !to.add(line, address)) return false;
    if (!to.add(separator) || !to.add(line + from, at - from)) return false;
    any = true;
  }
  return !any || to.add('\n');
}

}  // namespace

bool with_hosts(const List<char>& text, const List<char>& lines, List<char>& result, size_t& from) {
  size_t begin;
  size_t end;
  // With one mark alone, nothing tells the launcher's lines from others.
  if (find_last(text, kEnd, text.size(), end) && find_last(text, kBegin, end, begin)) {
    end += sizeof kEnd - 1;
  } else {
    begin = end = text.size();
  }
  from = begin;
  List<char> rest;
  if (!rest.add(text.begin(), begin) || !rest.add(text.begin() + end, text.size() - end)) return false;
  List<char> free;
  for (size_t at = 0; at < lines.size();) {
    const char* const line = lines.begin() + at;
    const void* const newline = memchr(line, '\n', lines.size() - at);
    if (newline == nullptr) break;  // it is being written
    const size_t size = static_cast<size_t>(static_cast<const char*>(newline) - line);
    if (!add_free(line, size, rest, free)) return false;
    at += size + 1;
  }
  result.clear();
  if (!result.add(text.begin(), begin)) return false;
  if (free.size() > 0) {
    if (begin > 0 && result[begin - 1] != '\n' && !result.add('\n')) return false;
    if (!result.add(kBegin, sizeof kBegin - 1) || !result.add(free.begin(), free.size()) ||
        !result.add(kEnd, sizeof kEnd - 1)) {
      return false;
    }
  }
  return result.add(text.begin() + end, text.size() - end);
}

}  // namespace boxctl
