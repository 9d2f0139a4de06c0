// Checkpoints to damage.
#include <cmath>
#include <memory>
#include <stdexcept>

#include "src/checkpoint/checkpoint.h"
#include "src/checkpoint/content.h"
#include "src/checkpoint/folders.h"
#include "src/checkpoint/manifest.h"
#include "src/checkpoint/shard.h"
#include "src/comm/single_rank.h"
#include "src/io/sha256.h"
#include "tests/checkpoint/sample_run.h"
#include "tests/soak/specimens.h"

namespace lora_dist::soak {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kRanks = 3;

struct Saved {
  fs::path path;
  CheckpointIdentity identity;
  TrainingState state;
};

/// As three ranks would have saved it.
Saved save(const fs::path& folder, std::int64_t step, std::int64_t more_elements) {
  Saved saved{folder / checkpoint_name(step), sample_identity(), sample_state(step)};
  const auto offset = static_cast<std::int64_t>(saved.state.params.size());
  saved.identity.tensors.push_back({"model.layers.1.mlp.up_proj.lora_A", {more_elements}, offset, more_elements});
  for (std::int64_t i = 0; i < more_elements; ++i) {
    saved.state.params.push_back(std::sin(static_cast<float>(i * step)));
    saved.state.m.push_back(0.0F);
    saved.state.v.push_back(static_cast<float>(i) * 1e-9F);
  }
  fs::create_directories(saved.path);
  Manifest manifest{saved.identity, saved.state, {}, {}, "", ""};
  for (int rank = 0; rank < kRanks; ++rank) {
    const ShardRange range = shard_range(offset + more_elements, rank, kRanks);
    manifest.shards.push_back(write_shard(saved.path, rank, range, elements_of(buffers_of(saved.state), range)));
  }
  digest_content(buffers_of(saved.state), manifest);
  put_file(saved.path / "MANIFEST.json", seal_manifest(manifest_to_json(manifest)));
  return saved;
}

Verdict judge_load(const Saved& saved) {
  const bool found_sound = verify_checkpoint(saved.path).empty();
  const std::unique_ptr<Communicator> comm = make_single_rank();
  try {
    const TrainingState state = load_checkpoint(*comm, saved.path, saved.identity);
    if (!found_sound) {
      throw std::runtime_error("verify_checkpoint refuses what load_checkpoint accepts");
    }
    return same_state(state, saved.state) ? Verdict::same : Verdict::different;
  } catch (const Error& error) {
    if (found_sound || error.code() != ExitCode::model) {
      throw std::runtime_error(std::string("load_checkpoint: ") + error.what());
    }
    return Verdict::refused;
  }
}

Verdict judge(const Saved& saved, const fs::path& older) {
  const Verdict verdict = judge_load(saved);
  const SoundCheckpoint newest = newest_sound_checkpoint(*make_single_rank(), saved.path.parent_path());
  const bool back = newest.path == older && newest.warnings.size() == 1;
  const bool here = newest.path == saved.path && newest.warnings.empty();
  if (verdict == Verdict::refused ? !back : !here) {
    throw std::runtime_error("newest_sound_checkpoint chose otherwise than load_checkpoint");
  }
  return verdict;
}

/// Puts what the damaged shard has now into the manifest.
Verdict judge_with_its_digest(const Saved& saved, int shard, const std::string& sound_manifest) {
  json manifest = json::parse(sound_manifest);
  const fs::path file = saved.path / shard_name(static_cast<std::size_t>(shard));
  manifest["shards"][shard]["bytes"] = fs::file_size(file);
  manifest["shards"][shard]["sha256"] = sha256_of_file(file);
  put_file(saved.path / "MANIFEST.json", seal_manifest(manifest));
  const Verdict verdict = judge_load(saved);
  put_file(saved.path / "MANIFEST.json", sound_manifest);
  return verdict;
}

json odd_value(Random& random) {
  static const json kValues = {nullptr,
                               true,
                               -1,
                               0,
                               1,
                               7,
                               1e308,
                               -0.5,
                               "",
                               "x",
                               json::array(),
                               json::object(),
                               json::array({json::object()}),
                               std::int64_t{1} << 62,
                               ~std::uint64_t{0},
                               std::string(9000, 'a')};
  return kValues[below(kValues.size(), random)];
}

/// A right seal over an odd value. The random numbers follow from the damaged text, so that a seed gives the same again.
Verdict judge_forged(const Saved& saved, const std::string& sound_manifest) {
  Random random(std::hash<std::string>()(get_file(saved.path / "MANIFEST.json")));
  json manifest = json::parse(sound_manifest).flatten();
  auto field = manifest.begin();
  std::advance(field, static_cast<std::ptrdiff_t>(below(manifest.size(), random)));
  json whole = manifest.unflatten();
  json::json_pointer place(field.key());
  for (std::size_t up = below(3, random); up > 0 && !place.parent_pointer().empty(); --up) {
    place = place.parent_pointer();
  }
  whole[place] = odd_value(random);
  put_file(saved.path / "MANIFEST.json", seal_manifest(whole));
  try {
    load_checkpoint(*make_single_rank(), saved.path, saved.identity);
    return Verdict::same;  // of a field that says nothing about the state, or another run's state: as its seal says
  } catch (const Error&) {
    return Verdict::refused;
  }
}

Specimen specimen(const std::string& name, const fs::path& file, const std::string& donor, std::size_t share,
                  std::function<Verdict()> judge) {
  return {name, file, {get_file(file), donor, {}}, share, std::move(judge)};
}

}  // namespace

std::vector<Specimen> checkpoint_specimens(const fs::path& folder) {
  std::vector<Specimen> specimens;
  for (const std::int64_t elements : {std::int64_t{3}, std::int64_t{210'000}}) {
    const bool small = elements < 100;
    const fs::path place = folder / (small ? "small" : "large");
    const fs::path older = save(place, 1, elements).path;
    const Saved saved = save(place, 2, elements);
    const std::string manifest = get_file(saved.path / "MANIFEST.json");
    const std::string size = small ? "" : " of several chunks";
    const std::size_t share = small ? 8 : 1;
    specimens.push_back(specimen("manifest" + size, saved.path / "MANIFEST.json", get_file(older / "MANIFEST.json"), share,
                                 [=] { return judge(saved, older); }));
    for (int rank = 0; rank < kRanks; ++rank) {
      const std::string shard = shard_name(static_cast<std::size_t>(rank));
      const std::string another = get_file(older / shard_name(static_cast<std::size_t>((rank + (small ? 1 : 0)) % kRanks)));
      specimens.push_back(specimen("shard" + size, saved.path / shard, another, share, [=] { return judge(saved, older); }));
      specimens.push_back(specimen("shard" + size + ", its digest made to fit", saved.path / shard, get_file(older / shard),
                                   share, [=] { return judge_with_its_digest(saved, rank, manifest); }));
    }
    if (small) {
      specimens.push_back(specimen("manifest, sealed anew", saved.path / "MANIFEST.json", manifest, share,
                                   [=] { return judge_forged(saved, manifest); }));
    }
  }
  return specimens;
}

}  // namespace lora_dist::soak
