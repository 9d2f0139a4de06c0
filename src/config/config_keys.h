// The one table of configuration keys: reading, checking, printing, help and the rules of resuming all go through it.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/config/config.h"

namespace lora_dist {

/// The member of a Config that a key fills.
using Slot = std::variant<std::string*, bool*, int*, std::int64_t*, double*, std::vector<std::string>*>;

// What a value must be.
struct Flag {};
struct Whole {
  std::int64_t low;
  std::int64_t high = std::numeric_limits<int>::max();
};
struct Real {
  double low;
  double high;
  bool low_open = false;  // low itself is excluded
  bool high_open = false;
};
struct Words {  // one of these, or a list of them
  std::vector<std::string_view> known;
};
struct Text {
  bool may_be_empty = false;
};
struct Texts {  // a list; one string counts as a list of one
  bool may_be_empty = false;
  bool may_repeat = false;
};
struct ShardCount {};  // "all", "node" or a number of ranks
using Rule = std::variant<Flag, Whole, Real, Words, Text, Texts, ShardCount>;

/// May a resumed run have another value than the run that wrote the checkpoint?
enum class OnResume : std::uint8_t { refuse, allow, bits_may_differ };

struct Key {
  std::string_view name;  // section.key
  Slot (*slot)(Config&);
  Rule rule;
  OnResume on_resume;
  std::string_view meaning;                  // one line for --help
  std::vector<std::string_view> built = {};  // the values that work so far; empty: all
};

/// In the order of the documentation; keys of one section are neighbours.
const std::vector<Key>& config_keys();

/// nullptr when there is none.
const Key* find_key(std::string_view name);

/// The known key that `name` was most likely meant to be: a key of that name in another section, else the closest spelling.
std::string_view nearest_key(std::string_view name);

/// "adapter" of "adapter.r"; the whole of a name without a dot.
std::string_view section_of(std::string_view name);
/// "r" of "adapter.r".
std::string_view bare_name_of(std::string_view name);

}  // namespace lora_dist
