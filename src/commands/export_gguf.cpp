// The header is written and read back before the weights are: a file that would mean something else is refused early.
#include "src/commands/export_gguf.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <system_error>

#include "src/chat_template/named_templates.h"
#include "src/comm/agree.h"
#include "src/commands/open_merge.h"
#include "src/commands/tensor_progress.h"
#include "src/commands/work_folder.h"
#include "src/convert/gguf_model_keys.h"
#include "src/convert/write_gguf_model.h"
#include "src/core/error.h"
#include "src/core/memory_report.h"
#include "src/io/file.h"
#include "src/model/generation_config.h"
#include "src/tokenizer/gguf_vocabulary.h"
#include "src/tokenizer/tokenizer.h"

namespace lora_dist {

namespace {

namespace fs = std::filesystem;

/// tokenizer.chat_template, and the named ones beside it.
void add_chat_templates(const fs::path& model, std::vector<GgufKey>& keys) {
  std::vector<std::string> names;
  for (const auto& [name, text] : read_named_templates(model)) {
    if (name == "default") {
      keys.push_back({"tokenizer.chat_template", text.source});
    } else {
      keys.push_back({"tokenizer.chat_template." + name, text.source});
      names.push_back(name);
    }
  }
  if (!names.empty()) {
    keys.push_back({"tokenizer.chat_templates", names});
  }
}

/// The model's name for general.name.
std::string name_of_model(const fs::path& model) {
  const fs::path whole = fs::absolute(model).lexically_normal();
  const fs::path last = whole.has_filename() ? whole.filename() : whole.parent_path().filename();
  return fs::is_directory(model) ? last.string() : last.stem().string();
}

std::vector<GgufKey> keys_of(const Merge& merge, const fs::path& model, GgufFileType type, const Console& console) {
  std::vector<std::int64_t> stop_ids = merge.spec.eos_ids;
  std::ranges::copy(read_generation_config(model, merge.spec).eos_ids, std::back_inserter(stop_ids));
  std::vector<GgufKey> keys = gguf_model_keys(merge.spec, name_of_model(model), type);
  std::ranges::move(gguf_vocabulary(model, merge.spec.model_type, merge.spec.vocab, stop_ids), std::back_inserter(keys));
  if (const std::vector<std::int64_t> left = stop_ids_left_out(keys, stop_ids); !left.empty() && has_tokenizer(model)) {
    console.warn(fmt::format(
        "GGUF files have keys for three tokens that end an answer, and {} more do not fit ({}): a reader goes on after them "
        "unless it knows them by their text, or is told to stop there",
        left.size(), fmt::join(left, ", ")));
  }
  add_chat_templates(model, keys);
  return keys;
}

/// Notes on what the file does not say, or what its readers do otherwise.
void warn(const Merge& merge, const fs::path& model, const Console& console) {
  if (!has_tokenizer(model)) {
    console.warn(fmt::format("{} has no tokenizer: the GGUF file has no vocabulary, and llama.cpp takes only token ids with it",
                             model.string()));
  }
  if (const std::int64_t context = gguf_context_length(merge.spec); context < merge.spec.max_positions) {
    console.warn(
        fmt::format("GGUF files have no sliding window for models of type {}: the file's context is {} tokens (the window), "
                    "not {}, since longer texts would be attended to otherwise",
                    merge.spec.model_type, context, merge.spec.max_positions));
  }
  if (merge.spec.model_type == "phi3" && has_windows(merge.spec)) {
    console.warn("llama.cpp ignores Phi-3's sliding window: it attends to all tokens of longer texts");
  }
  if (merge.spec.model_type == "olmo3" && merge.spec.window_rope && merge.spec.window_rope->theta != merge.spec.rope.theta) {
    console.warn("llama.cpp turns all layers of an OLMo 3 by one rope.freq_base; other readers obey rope.freq_base_swa");
  }
  constexpr std::int64_t kLayersWithWindows = 64;  // of EXAONE 4 in llama.cpp
  if (merge.spec.model_type == "exaone4" && !merge.spec.layer_specs.empty() && merge.spec.layers != kLayersWithWindows) {
    console.warn("llama.cpp obeys EXAONE 4's sliding windows only in models of 64 layers; other readers obey the file's keys");
  }
}

/// Throws for an adapter that cannot be merged here, with the way out.
void check_adapters(const ExportOptions& options) {
  for (const std::string& given : options.merge.adapters) {
    if (std::error_code ignored; fs::exists(fs::path(given) / "adapter_config.json", ignored)) {  // else "DIR=WEIGHT"
      const ReaderVerdict verdict = verdict_of(Reader::gguf, read_adapter_facts(given, nullptr));
      if (verdict.fit == Fit::no) {
        throw Error(ExitCode::model, fmt::format("{}: {}", given, verdict.reason));
      }
    }
  }
}

MergedModel merged_model(const Merge& merge) {
  MergedModel out;
  out.spec = &merge.spec;
  out.files = &merge.files;
  out.quantized = merge.quantized ? &*merge.quantized : nullptr;
  out.plan = &merge.plan;
  out.trained = merge.formats.trained;
  out.onto = merge.formats.onto == Onto::dequantized ? merge.formats.trained : merge.full;
  return out;
}

/// Throws if this program would read another model or tokenizer from the file.
void check_header(const Merge& merge, const fs::path& model, const fs::path& folder, const fs::path& output,
                  const std::vector<GgufKey>& keys, const std::vector<GgufTensorToWrite>& tensors,
                  std::span<const std::vector<std::byte>> given) {
  const fs::path file = folder / "header.gguf";
  write_gguf_header(file, keys, tensors, given);
  try {
    check_gguf_model(merge.spec, model, file);
    check_gguf_vocabulary(model, file);
  } catch (const Error& error) {  // names the file that the user asked for
    std::string text = error.what();
    for (std::size_t at = text.find(file.string()); at != std::string::npos; at = text.find(file.string(), at)) {
      text.replace(at, file.string().size(), output.string());
      at += output.string().size();
    }
    throw Error(error.code(), text, error.scope());
  }
  fs::remove(file);
}

/// "201 tensors: 91 F32, 110 Q8_0".
std::string counts_of(const std::vector<GgufTensorToWrite>& tensors) {
  std::map<std::string_view, int> counts;
  for (const GgufTensorToWrite& tensor : tensors) {
    ++counts[tensor.type->name];
  }
  std::string out = fmt::format("{} tensors:", tensors.size());
  for (const auto& [type, count] : counts) {
    out += fmt::format("{} {} {}", out.back() == ':' ? "" : ",", count, type);
  }
  return out;
}

MergeSums write(const Merge& merge, const ExportOptions& options, const fs::path& folder, const fs::path& file,
                const Console& console, const Stream& stream) {
  const fs::path model = options.merge.model;
  const MergedModel merged = merged_model(merge);
  const std::vector<GgufKey> keys = keys_of(merge, model, *options.type, console);
  const std::vector<GgufTensorPlan> plans = plan_gguf_tensors(merged, *options.type);
  std::vector<GgufTensorToWrite> tensors;
  std::ranges::transform(plans, std::back_inserter(tensors), &GgufTensorPlan::written);
  MergeSums sums;
  std::vector<std::vector<std::byte>> given;
  for (const GgufTensorPlan& plan : plans) {
    if (plan.from != nullptr) {
      break;
    }
    given.push_back(gguf_tensor_bytes(merged, plan, sums, stream));  // the reader finds the scaling in it
  }
  check_header(merge, model, folder, options.merge.output, keys, tensors, given);
  std::size_t next = 0;
  TensorProgress progress{.console = console, .quiet_seconds = 5.0};
  write_gguf(file, keys, tensors, [&](const GgufTensorToWrite&) {
    std::vector<std::byte> bytes = gguf_tensor_bytes(merged, plans[next++], sums, stream);
    progress(static_cast<std::int64_t>(next), std::ssize(plans));
    return bytes;
  });
  console.line(counts_of(tensors));
  return sums;
}

}  // namespace

void commit_file(const fs::path& file, const fs::path& output) {
  std::error_code problem;
  fs::rename(file, output, problem);
  if (problem) {
    throw Error(ExitCode::model, system_error_text("write", output, problem.value()));
  }
  sync_to_disk(output.has_parent_path() ? output.parent_path() : fs::path("."), ExitCode::model);
}

void check_output_is_new(const std::string& output) {
  std::error_code ignored;
  if (std::filesystem::symlink_status(output, ignored).type() != std::filesystem::file_type::not_found) {  // a dangling link too
    throw Error(ExitCode::usage, fmt::format("--output {} is already there; name a new one, or remove that", output));
  }
}

void export_gguf(Communicator& world, const ProcessInfo& process, const ExportOptions& options, const Console& console) {
  Merge merge;
  run_together(world, [&] {
    check_output_is_new(options.merge.output);
    check_adapters(options);
    merge = open_merge(options.merge);
    gguf_context_length(merge.spec);  // refuses families without an architecture
  });
  for (const auto& warnings : {merge.warnings, merge.formats.warnings}) {
    for (const std::string& warning : warnings) {
      console.warn(warning);
    }
  }
  warn(merge, options.merge.model, console);
  const WorkFolder folder(options.merge.output, world);
  run_together(world, [&] {
    if (!folder.owned) {
      return;  // only one rank writes the file
    }
    Stream stream;
    stream.threads = threads_per_rank(process);
    const fs::path file = folder.path / "model.gguf";
    const MergeSums sums = write(merge, options, folder.path, file, console, stream);
    commit_file(file, options.merge.output);
    const std::string merged = sums.tensors == 0
                                   ? ""
                                   : fmt::format(", {} weights merged (norm of the update {:.4g}; onto {})", sums.tensors,
                                                 std::sqrt(sums.update), word_of(kOnto, merge.formats.onto));
    console.line(fmt::format("{}: {}{}", options.merge.output,
                             human_bytes(static_cast<std::int64_t>(fs::file_size(options.merge.output))), merged));
  });
}

}  // namespace lora_dist
