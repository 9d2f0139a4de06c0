// Files to damage, and what tells whether the damage was seen.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "tests/soak/damage.h"
#include "tests/support/scratch.h"

namespace lora_dist::soak {

/// How a damaged file was taken. `different`: accepted, with another content than the file had before.
enum class Verdict { refused, same, different };

/// One file of a checkpoint or a base store.
struct Specimen {
  std::string name;
  std::filesystem::path file;
  Material material;
  std::size_t share = 1;  // of the damage, against the other specimens
  /// Called with the file damaged. Anything thrown but Error is a failure, an Error of the wrong exit code too.
  std::function<Verdict()> judge;
};

/// The manifest and the shards of a checkpoint of three ranks, with an older one beside it. What `load_checkpoint` accepts must
/// be the state that was saved; `verify_checkpoint` must say the same, and `newest_sound_checkpoint` fall back to the older one.
/// Also shards whose new digest was put into the manifest, so that HDF5 gets to see them, and manifests with an odd value in any
/// field under a right seal: those may be accepted, but must not harm.
std::vector<Specimen> checkpoint_specimens(const std::filesystem::path& folder);

/// Stores that quantize makes of a tiny model, nested and not, and one of tensors with several chunks. What is read from them,
/// whole and by parts, must be what was written.
std::vector<Specimen> store_specimens(const std::filesystem::path& folder);

}  // namespace lora_dist::soak
