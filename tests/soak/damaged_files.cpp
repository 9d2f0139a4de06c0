// soak_damaged_files [TRIALS [SEED [FIRST]]]: damages the files of checkpoints and base stores again and again. Each damage must
// be refused with an Error, or leave the content as it was. A seed and a number give the same trial again: soak_damaged_files 1
// SEED NUMBER.
#include <cstdlib>
#include <exception>
#include <filesystem>

#include "kernels/common/parallel.h"
#include "tests/soak/specimens.h"
#include "tests/soak/trials.h"

namespace lora_dist::soak {
namespace {

struct Choice {
  const Specimen& specimen;
  const DamageKind& kind;
  Random random;
};

const Specimen& choose(const std::vector<Specimen>& specimens, Random& random) {
  std::size_t shares = 0;
  for (const Specimen& specimen : specimens) {
    shares += specimen.share;
  }
  std::size_t at = below(shares, random);
  std::size_t i = 0;
  for (; at >= specimens[i].share; ++i) {
    at -= specimens[i].share;
  }
  return specimens[i];
}

/// What trial `number` of a seed is.
Choice choose(const std::vector<Specimen>& specimens, std::uint64_t seed, std::int64_t number) {
  std::seed_seq sequence{seed, static_cast<std::uint64_t>(number)};
  Random random(sequence);
  const Specimen& specimen = choose(specimens, random);
  const DamageKind& kind = damage_kinds()[below(damage_kinds().size(), random)];
  return {specimen, kind, random};
}

std::string text_of(const Choice& choice) { return choice.specimen.name + ": " + choice.kind.name; }

Outcome try_one(Choice choice) {
  const Specimen& specimen = choice.specimen;
  std::string content = specimen.material.sound;
  choice.kind.apply(content, specimen.material, choice.random);
  const bool changed = content != specimen.material.sound;
  put_file(specimen.file, content);
  Outcome outcome{specimen.name, "", ""};
  try {
    const Verdict verdict = specimen.judge();
    outcome.column = verdict == Verdict::refused ? "refused" : verdict == Verdict::same ? "harmless" : "wrong";
    if (verdict == Verdict::different) {
      outcome.failure = text_of(choice) + ": loaded with another content";
    } else if (!changed) {
      outcome.column = "unchanged";
    }
  } catch (const std::exception& error) {
    outcome.column = "wrong";
    outcome.failure = text_of(choice) + ": " + error.what();
  }
  put_file(specimen.file, specimen.material.sound);
  return outcome;
}

int run(std::int64_t trials, std::uint64_t seed, std::int64_t first) {
  const Scratch scratch;
  std::vector<Specimen> specimens = checkpoint_specimens(scratch / "checkpoints");
  for (Specimen& specimen : store_specimens(scratch / "stores")) {
    specimens.push_back(std::move(specimen));
  }
  // A trial whose process died left its file damaged: the next process finds all as it was.
  const auto trial = [&](std::int64_t number) { return try_one(choose(specimens, seed, number)); };
  const auto about = [&](std::int64_t number) {
    for (const Specimen& specimen : specimens) {
      put_file(specimen.file, specimen.material.sound);
    }
    return text_of(choose(specimens, seed, number));
  };
  const Trials wanted{first, trials};
  return report_trials(wanted, seed, run_trials(wanted, trial, about), "trials", "damaged file");
}

}  // namespace
}  // namespace lora_dist::soak

int main(int argc, char** argv) {
  lora_dist::set_library_threads();
  if (std::filesystem::is_directory("/dev/shm")) {
    ::setenv("TMPDIR", "/dev/shm", 0);  // memory is faster than disks, and does not wear out
  }
  const auto argument = [&](int at, long long otherwise) { return argc > at ? std::atoll(argv[at]) : otherwise; };
  return lora_dist::soak::run(argument(1, 5000), static_cast<std::uint64_t>(argument(2, 1)), argument(3, 0));
}
