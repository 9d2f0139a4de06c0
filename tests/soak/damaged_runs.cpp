// soak_damaged_runs [TRIALS [SEED [FIRST]]]: damages a checkpoint or a base store and lets the program meet it. It must end with
// exit code 4 and a sentence, pass over the damage to an older checkpoint with a warning, or come to the bits of an undamaged
// run.
#include <array>
#include <cstdlib>

#include "tests/soak/damage.h"
#include "tests/soak/runs.h"
#include "tests/soak/trials.h"

namespace lora_dist::soak {
namespace {

namespace fs = std::filesystem;
using program::Finished;
using program::Launch;
using program::Settings;

/// What stays as it is while trials go on.
struct Ground {
  fs::path run;        // of two steps out of three, with a checkpoint after each
  fs::path finished;   // the same run to its end
  fs::path store;      // of the demo's model
  fs::path store_run;  // two steps on it
  fs::path place;      // for what a trial makes
};

Settings resumed_run(const fs::path& output) { return run_of(output, 3, 1); }

Settings store_run(const fs::path& store, const fs::path& output) {
  Settings settings = run_of(output, 2, 0);
  settings["model.path"] = store.string();
  return settings;
}

Ground make_ground(const Scratch& scratch) {
  const Ground ground{scratch / "run", scratch / "finished", scratch / "store", scratch / "store_run", scratch / "place"};
  program::expect_success(program::launch_of(resumed_run(ground.finished), 0));
  program::expect_success(program::launch_of(run_of(ground.run, 2, 1), 0));
  program::expect_success(
      command({"quantize", "--model", program::source("demo/model").string(), "--output", ground.store.string()}));
  program::expect_success(program::launch_of(store_run(ground.store, ground.store_run), 0));
  return ground;
}

bool refuses(const Finished& finished) {
  return finished.exit_code == 4 && !finished.timed_out && program::count_of(finished.err, "lora_dist: error:") == 1;
}

/// "refused", "same", or what is wrong with it.
std::string verdict(const Finished& finished, bool same) {
  return refuses(finished) ? "refused" : finished.exit_code == 0 && same ? "same result" : said(finished);
}

/// True if it came to anything.
bool damage_file(const fs::path& file, const fs::path& donor, Random& random) {
  const Material material{get_file(file), get_file(donor), {}};
  std::string content = material.sound;
  damage_kinds()[below(damage_kinds().size(), random)].apply(content, material, random);
  put_file(file, content);
  return content != material.sound;
}

/// The newest checkpoint is damaged, the one before is not: the run goes on from it.
std::string resume(const Ground& ground, int ranks, bool damaged) {
  const Finished finished = program::run_program(program::launch_of(resumed_run(ground.place), ranks));
  const bool warned = program::count_of(finished.err, "passing over the checkpoint") == 1;
  const bool same = adapter_of(ground.place) == adapter_of(ground.finished);
  return finished.exit_code == 0 && same && warned == damaged ? warned ? "passed over" : "same result" : said(finished);
}

std::string resume_by_name(const Ground& ground, int ranks, bool damaged) {
  Settings settings = resumed_run(ground.place);
  settings["checkpoint.resume"] = (ground.place / "checkpoints/step_00000002").string();
  const Finished finished = program::run_program(program::launch_of(settings, ranks));
  return verdict(finished, !damaged && adapter_of(ground.place) == adapter_of(ground.finished));
}

std::string inspect_checkpoint(const Ground& ground, int /*ranks*/, bool damaged) {
  return verdict(program::run_program(command({"inspect", "--verify", (ground.place / "checkpoints/step_00000002").string()})),
                 !damaged);
}

std::string inspect_store(const Ground& ground, int /*ranks*/, bool /*damaged*/) {
  return verdict(program::run_program(command({"inspect", "--verify", ground.place.string()})), true);
}

std::string train_on_store(const Ground& ground, int ranks, bool /*damaged*/) {
  const fs::path output = ground.place / "out";
  const Finished finished = program::run_program(program::launch_of(store_run(ground.place, output), ranks));
  return verdict(finished, adapter_of(output) == adapter_of(ground.store_run));
}

struct Meeting {
  const char* name;
  bool with_store;
  std::string (*meet)(const Ground&, int ranks, bool damaged);
};

constexpr std::array<Meeting, 5> kMeetings = {{{"resume from the newest checkpoint", false, resume},
                                               {"resume from this checkpoint", false, resume_by_name},
                                               {"inspect the checkpoint", false, inspect_checkpoint},
                                               {"inspect the base store", true, inspect_store},
                                               {"train on the base store", true, train_on_store}}};

/// Copies what is met into ground.place and damages one file of it. Whether that changed it.
bool spoil(const Ground& ground, bool with_store, Random& random) {
  fs::remove_all(ground.place);
  fs::copy(with_store ? ground.store : ground.run, ground.place, fs::copy_options::recursive);
  if (with_store) {
    return damage_file(ground.place / "base_store.h5", program::source("demo/model/model.safetensors"), random);
  }
  const char* file = below(2, random) == 0 ? "MANIFEST.json" : "shard_00000.h5";
  const fs::path checkpoints = ground.place / "checkpoints";
  return damage_file(checkpoints / "step_00000002" / file, checkpoints / "step_00000001" / file, random);
}

Outcome try_one(const Ground& ground, std::uint64_t seed, std::int64_t number) {
  std::seed_seq sequence{seed, static_cast<std::uint64_t>(number)};
  Random random(sequence);
  const Meeting& meeting = kMeetings[static_cast<std::size_t>(number) % kMeetings.size()];
  const bool damaged = spoil(ground, meeting.with_store, random);
  const std::string came = meeting.meet(ground, below(3, random) == 0 ? 2 : 0, damaged);
  const bool good = came == "refused" || came == "passed over" || came == "same result";
  return {meeting.name, good ? came : "wrong", good ? "" : std::string(meeting.name) + ": " + came};
}

int run(std::int64_t trials, std::uint64_t seed, std::int64_t first) {
  const Scratch scratch;
  const Ground ground = make_ground(scratch);
  const Trials wanted{first, trials, 300};
  const Tally tally = run_trials(
      wanted, [&](std::int64_t number) { return try_one(ground, seed, number); },
      [](std::int64_t /*number*/) { return std::string("a run of the program"); });
  return report_trials(wanted, seed, tally, "runs", "the program meets a damaged file");
}

}  // namespace
}  // namespace lora_dist::soak

int main(int argc, char** argv) {
  const auto argument = [&](int at, long long otherwise) { return argc > at ? std::atoll(argv[at]) : otherwise; };
  return lora_dist::soak::run(argument(1, 5), static_cast<std::uint64_t>(argument(2, 1)), argument(3, 0));
}
