// lora_dist doctor: checks this machine and this job, and says what to fix.
#include <fmt/format.h>

#include "src/commands/commands.h"
#include "src/commands/read_config.h"
#include "src/config/load_config.h"
#include "src/core/error_of.h"
#include "src/doctor/examine.h"
#include "src/plan/planned_model.h"
#include "src/report/console.h"

namespace lora_dist {

namespace {

/// Bytes of a run's checkpoints (each factor with its two moments, `keep` of them and one in the making) and three adapter
/// folders; 0 where the configuration's model is not to be read: another check says so.
std::int64_t run_bytes(const Config& config) {
  std::int64_t trained = 0;
  const Console silent;
  error_of([&] { trained = open_planned_model(config, {}, silent).layout.count; });
  constexpr std::int64_t kFloat = 4;
  return trained * kFloat * (3 * (std::int64_t{config.checkpoint.keep} + 1) + 3);
}

Examined examined_of(const Config& config) {
  Examined examined;
  examined.folder = config.output.dir;
  examined.backend = config.parallel.backend;
  examined.communicator = config.parallel.communicator;
  examined.keep = config.checkpoint.keep;
  examined.run_bytes = run_bytes(config);
  const auto add = [&](const char* key, const std::vector<std::string>& paths) {
    for (const std::string& path : paths) {
      if (!path.empty()) {
        examined.inputs.push_back({key, path});
      }
    }
  };
  add("model.path", {config.model.path});
  add("data.train", config.data.train);
  add("data.validation", config.data.validation);
  add("adapter.init_from", {config.adapter.init_from});
  return examined;
}

}  // namespace

int run_doctor(Communicator& world, const ProcessPlace& place, const CommandLine& line) {
  const bool configured = !line.cfg.empty() || !line.sets.empty();
  const Examined examined = configured ? examined_of(read_config(world, line, /*complete=*/!line.cfg.empty())) : Examined{};
  const Diagnosis diagnosis = examine(examined, world, place);
  if (place.rank == 0) {
    fmt::print("{}", line.json ? diagnosis_json(diagnosis) : diagnosis_text(diagnosis));
  }
  return static_cast<int>(exit_code_of(diagnosis));
}

}  // namespace lora_dist
