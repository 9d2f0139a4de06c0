// lora_dist merge: merges adapters into a model folder, onto the dequantized weights of training or onto the files' weights, and
// reports the difference.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <system_error>

#include "src/comm/agree.h"
#include "src/commands/merge_options.h"
#include "src/commands/merge_report.h"
#include "src/commands/open_merge.h"
#include "src/commands/watch_command.h"
#include "src/commands/work_folder.h"
#include "src/convert/merge_gguf.h"
#include "src/convert/merge_quantized.h"
#include "src/core/error.h"
#include "src/io/base_store.h"
#include "src/io/file.h"
#include "src/io/gguf.h"
#include "src/io/tokenizer_files.h"
#include "src/job/grown_vocabulary.h"
#include "src/report/console.h"

namespace lora_dist {

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr const char* kReportName = "lora_dist_merge.json";

/// Throws if the output folder is already there.
Merge prepare(const MergeOptions& options) {
  Merge merge = open_merge(options);
  std::error_code ignored;
  if (fs::exists(options.output, ignored)) {
    throw Error(ExitCode::usage,
                fmt::format("--output {} is already there; name a new folder, or remove that one", options.output));
  }
  return merge;
}

/// Merges all files, dealt to the ranks round-robin. Collective; returns the sums over all ranks.
MergeSums merge_files(const Merge& merge, const fs::path& target, const BaseFormat& onto, Communicator& world,
                      const Stream& stream) {
  MergeSums mine;
  run_together(world, [&] {
    for (std::size_t i = static_cast<std::size_t>(world.rank()); i < merge.files.files.size();
         i += static_cast<std::size_t>(world.size())) {
      const fs::path& source = merge.files.files[i];
      const bool is_store = source.filename() == kBaseStoreFile;
      const bool is_gguf = has_gguf_ending(source);
      const fs::path file = target / (is_store  ? fs::path("model.safetensors")
                                      : is_gguf ? fs::path(merged_gguf_name(merge.files, i))
                                                : source.filename());
      const auto merge_plain = is_gguf ? merge_gguf_file : merge_file;
      const MergeSums sums = merge.quantized
                                 ? merge_quantized_file(*merge.quantized, source, file, merge.plan, stream)
                                 : merge_plain(merge.files, source, file, merge.plan, onto, merge.formats.trained, stream);
      mine.tensors += sums.tensors;
      mine.held += sums.held;
      mine.update += sums.update;
      mine.quantization += sums.quantization;
      mine.rounding += sums.rounding;
    }
  });
  MergeSums all;
  for (const std::string& part :
       all_gather_strings(world, json({mine.tensors, mine.held, mine.update, mine.quantization, mine.rounding}).dump())) {
    const json sums = json::parse(part);
    all.tensors += sums[0].get<std::int64_t>();
    all.held += sums[1].get<std::int64_t>();
    all.update += sums[2].get<double>();
    all.quantization += sums[3].get<double>();
    all.rounding += sums[4].get<double>();
  }
  return all;
}

json describe(const Merge& merge, const MergeSums& sums, const MergeOptions& options) {
  json adapters = json::array();
  for (const WeightedAdapter& each : merge.adapters) {
    adapters.push_back({{"adapter", each.folder.string()}, {"weight", each.weight}});
  }
  return {{"model", options.model},
          {"adapters", adapters},
          {"onto", word_of(kOnto, merge.formats.onto)},
          {"quantization", name_of(merge.formats.trained.quantization)},
          {"weights",
           {{"merged", sums.tensors},
            {"dequantized_besides", sums.held},
            {"norm_of_update", std::sqrt(sums.update)},
            {"norm_of_dequantized_minus_full", std::sqrt(sums.quantization)},
            {"norm_of_rounding", std::sqrt(sums.rounding)}}}};
}

void show(const MergeSums& sums, const Console& console) {
  const std::string share =
      sums.update > 0.0 ? fmt::format(" ({:.1f} % of the update)", 100.0 * std::sqrt(sums.quantization / sums.update)) : "";
  const std::string held = sums.held == 0 ? "" : fmt::format(", {} more written as the quantized base held them", sums.held);
  console.line(fmt::format(
      "{} weights merged{}. Norms: update of the adapters {:.4g}, dequantized minus full weights {:.4g}{}, rounding to "
      "the files' types {:.4g}",
      sums.tensors, held, std::sqrt(sums.update), std::sqrt(sums.quantization), share, std::sqrt(sums.rounding)));
}

/// Options that open the model as in training with its one adapter (`folder` empty), or a merged folder.
ModelOptions opened_as(const MergeOptions& options, const Merge& merge, const fs::path& folder) {
  ModelOptions opened;
  if (folder.empty()) {
    const BaseFormat& trained = merge.formats.trained;
    opened.model = options.model;
    opened.adapter = merge.adapters.front().folder.string();
    opened.base = {trained.quantization, static_cast<int>(trained.block_size), trained.double_quant};
  } else {
    opened.model = folder.string();
  }
  return opened;
}

json compare(const std::vector<TextScore>& scores, const MergeOptions& options, const Console& console) {
  json rows = json::array();
  console.line(fmt::format("{}: {} tokens\n{:<32}{:>12}{:>24}{:>12}", options.text, scores.front().tokens, "", "perplexity",
                           "log-probs: mean change", "largest"));
  for (const TextScore& score : scores) {
    const LogProbDistance distance = distance_between(scores.front(), score);
    console.line(fmt::format("{:<32}{:>12.5f}{:>24.2e}{:>12.2e}", score.name, score.perplexity, distance.mean, distance.largest));
    rows.push_back({{"model", score.name},
                    {"perplexity", score.perplexity},
                    {"tokens", score.tokens},
                    {"mean_log_prob_change", distance.mean},
                    {"largest_log_prob_change", distance.largest}});
  }
  return rows;
}

/// Copies the files other than weights.
void copy_descriptions(const Merge& merge, const MergeOptions& options, const fs::path& folder, Communicator& world) {
  run_together(world, [&] {
    if (world.rank() == 0) {
      copy_other_files(options.model, folder);
      for (const WeightedAdapter& each : merge.adapters) {
        if (const fs::path own = vocabulary_of(each.folder).tokenizer; !own.empty()) {  // it has the trained tokens
          copy_tokenizer_files(own, folder);
        }
      }
      if (has_gguf_ending(merge.files.files.front())) {
        write_gguf_index(merge.files, folder);
      }
      if (merge.quantized) {
        write_plain_descriptions(*merge.quantized, options.model, folder);
      }
    }
  });
}

/// A single unscaled adapter can be scored on the base that it was trained on.
bool scores_what_was_trained(const Merge& merge, const MergeOptions& options) {
  return !options.text.empty() && merge.adapters.size() == 1 && merge.adapters[0].weight == 1.0;
}

/// Compares the trained model (if it can be scored) with both ways to merge, on options.text. `merged` is the written folder; the
/// other one is temporary. A prequantized folder has only one way.
json compare_on_text(const Merge& merge, const MergeOptions& options, const fs::path& merged, Communicator& world,
                     const ProcessInfo& process, const Console& console, const Stream& stream) {
  const bool dequantized = merge.formats.onto == Onto::dequantized;
  std::vector<TextScore> scores;
  const auto add = [&](const char* name, const fs::path& folder) {
    const Console silent;  // a merged folder would repeat the model's warnings
    scores.push_back(
        score_text(name, opened_as(options, merge, folder), options.text, world, process, folder.empty() ? console : silent));
  };
  if (scores_what_was_trained(merge, options)) {
    add(merge.formats.trained.quantization == Quantization::none ? "base and adapter" : "quantized base and adapter", {});
  }
  if (merge.quantized) {
    add("onto dequantized weights", merged);
    return compare(scores, options, console);
  }
  const WorkFolder other(options.output + ".other-way", world);
  merge_files(merge, other.path, dequantized ? merge.full : merge.formats.trained, world, stream);
  copy_descriptions(merge, options, other.path, world);
  add("onto dequantized weights", dequantized ? merged : other.path);
  add("onto full precision", dequantized ? other.path : merged);
  return compare(scores, options, console);
}

/// Fills `folder` and prints the result.
void fill(const Merge& merge, const MergeOptions& options, const fs::path& folder, Communicator& world,
          const ProcessInfo& process, const Console& console, const Stream& stream) {
  const MergeSums sums =
      merge_files(merge, folder, merge.formats.onto == Onto::dequantized ? merge.formats.trained : merge.full, world, stream);
  copy_descriptions(merge, options, folder, world);
  show(sums, console);
  json report = describe(merge, sums, options);
  if (!options.text.empty()) {
    report["text"] = compare_on_text(merge, options, folder, world, process, console, stream);
  }
  run_together(world, [&] {
    if (world.rank() == 0) {
      write_file_atomically(folder / kReportName, report.dump(2) + "\n", ExitCode::model);
    }
  });
}

int run(Communicator& world, const ProcessInfo& process, const MergeOptions& options) {
  const auto watchdog = watch_command(world, process);
  const Console console{world.rank() == 0};
  Stream stream;
  stream.threads = threads_per_rank(process);
  Merge merge;
  run_together(world, [&] { merge = prepare(options); });
  for (const std::string& warning : merge.formats.warnings) {
    console.warn(warning);
  }
  for (const std::string& warning : merge.warnings) {
    if (!scores_what_was_trained(merge, options)) {  // otherwise opening the model prints the warnings
      console.warn(warning);
    }
  }
  WorkFolder folder(options.output, world);
  fill(merge, options, folder.path, world, process, console, stream);
  run_together(world, [&] {
    if (folder.owned) {
      commit_atomic_directory(folder.path, options.output);
    }
  });
  console.line(fmt::format("the merged model is in {}", options.output));
  return static_cast<int>(ExitCode::done);
}

}  // namespace

CommandUse merge_command() { return make_use<MergeOptions>(describe_merge_options, check_merge_options, run); }

}  // namespace lora_dist
