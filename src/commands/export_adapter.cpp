// Verdict first, then the adapter as the reader wants it.
#include "src/commands/export_adapter.h"

#include <fmt/format.h>

#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "src/adapter/adapted_module.h"
#include "src/adapter/adapter_bridge.h"
#include "src/adapter/adapter_origin.h"
#include "src/adapter/initial_factors.h"
#include "src/adapter/model_card.h"
#include "src/adapter/path_pattern.h"
#include "src/comm/agree.h"
#include "src/commands/export_gguf.h"
#include "src/commands/work_folder.h"
#include "src/convert/adapter_readers.h"
#include "src/convert/plain_adapter.h"
#include "src/core/error.h"
#include "src/io/file.h"
#include "src/io/strict_json.h"
#include "src/io/tokenizer_files.h"
#include "src/model/model_config.h"

namespace lora_dist {

namespace {

namespace fs = std::filesystem;

struct OpenedAdapter {
  fs::path folder;
  bool copied = false;  // PEFT takes it and this program does not read it: its files are copied
  PeftAdapter adapter;
  std::optional<ModelSpec> spec;  // of --model
  nlohmann::json origin;          // lora_dist.json; null: the folder has none
};

/// --model, where it is given.
std::optional<ModelSpec> spec_of(const ExportOptions& options) {
  return options.merge.model.empty() ? std::nullopt : std::optional(read_model_config(options.merge.model));
}

AdapterFacts facts_of(const std::string& adapter, const std::optional<ModelSpec>& spec) {
  return read_adapter_facts(adapter, spec ? &*spec : nullptr);
}

/// Copies of embedding and head are left out, and so must equal the base's.
void check_copies(const OpenedAdapter& opened, const ExportOptions& options) {
  if (opened.adapter.tables.empty()) {
    return;
  }
  if (!opened.spec) {
    throw Error(ExitCode::model,
                fmt::format("{}: it holds a copy of {}, which other programs refuse; add --model DIR, so that it can be compared "
                            "with the base's and left out",
                            opened.folder.string(), opened.adapter.tables.begin()->first));
  }
  check_tables(opened.adapter, *opened.spec, read_model_directory(options.merge.model));
}

OpenedAdapter open_adapter(const ExportOptions& options) {
  OpenedAdapter out{options.merge.adapters.front(), false, {}, spec_of(options), nullptr};
  const AdapterFacts facts = facts_of(options.merge.adapters.front(), out.spec);
  const ReaderVerdict verdict = verdict_of(*options.reader, facts);
  if (verdict.fit == Fit::no) {
    throw Error(ExitCode::model, fmt::format("{}: {}", out.folder.string(), verdict.reason));
  }
  if (options.reader == Reader::peft && !is_readable(facts)) {
    out.copied = true;
    return out;
  }
  out.adapter = read_peft_adapter(out.folder);
  if (uses_residual(out.adapter.config.init) && !out.spec && options.reader == Reader::peft) {
    out.copied = true;  // PEFT repeats the initialisation
    return out;
  }
  if (uses_residual(out.adapter.config.init)) {
    if (!out.spec) {
      throw Error(
          ExitCode::usage,
          fmt::format("{}: it was saved relative to weights that its init_lora_weights = \"{}\" changed; give the base model "
                      "too (--model), so that it can become plain LoRA",
                      out.folder.string(), word_of(kLoraInits, out.adapter.config.init)));
    }
    convert_to_plain(out.adapter, *out.spec, read_model_directory(options.merge.model), out.folder.string(), Stream{});
  }
  if (out.spec) {
    layout_of(out.adapter, *out.spec, out.folder.string());  // refuses an adapter of another model
  }
  if (becomes_lora(out.adapter)) {
    out.adapter = lora_of(out.adapter);
    if (out.adapter.tensors.empty()) {
      throw Error(ExitCode::model,
                  fmt::format("{}: none of its ranks is left, so that it changes nothing and there is nothing to "
                              "export",
                              out.folder.string()));
    }
  }
  if (options.reader == Reader::peft && !out.adapter.tables.empty() && !out.spec) {
    out.copied = true;  // PEFT takes the copies, which cannot be compared with a base and left out
    return out;
  }
  check_copies(out, options);
  if (const fs::path origin = out.folder / kOriginFile; fs::exists(origin)) {
    out.origin = read_json_file(origin, ExitCode::model);
  }
  return out;
}

/// False for no names at all and for a text that is no regular expression.
bool says_targets(const PeftConfig& config) {
  return !config.target_modules.empty() || (!config.target_pattern.empty() && problem_of_pattern(config.target_pattern).empty());
}

/// As PEFT reads it: layers_to_transform and exclude_modules, which are not written, become a list of whole paths, and so do
/// target_modules that PEFT cannot use.
PeftAdapter for_peft(const PeftAdapter& adapter) {
  PeftAdapter out = adapter;
  PeftConfig& config = out.config;
  if (says_targets(config) && config.layers_to_transform.empty() && config.exclude_modules.empty() &&
      config.exclude_pattern.empty()) {
    return out;
  }
  config.target_pattern.clear();
  config.target_modules.clear();
  config.target_modules = adapted_paths(adapter);
  return out;
}

/// The tensors of a folder, in the order of their names.
void write_folder(const PeftAdapter& adapter, const nlohmann::json& origin, const fs::path& output) {
  std::vector<AdapterTensor> tensors;
  std::vector<float> values;
  for (const auto& [name, matrix] : adapter.tensors) {
    tensors.push_back({name, matrix.shape, std::ssize(values), std::ssize(matrix.values)});
    values.insert(values.end(), matrix.values.begin(), matrix.values.end());
  }
  write_peft_adapter(output, adapter.config, tensors, values, DType::f32, origin, adapter.shared);
}

/// PEFT's files and this program's record, as they are.
void copy_folder(const fs::path& from, const fs::path& output) {
  const fs::path temporary = begin_atomic_directory(output);
  for (const char* name : {"adapter_config.json", "adapter_model.safetensors", "README.md", kOriginFile}) {
    std::error_code problem;
    if (fs::exists(from / name, problem) && !fs::copy_file(from / name, temporary / name, problem)) {
      throw Error(ExitCode::model, system_error_text("copy to " + temporary.string(), from / name, problem.value()));
    }
  }
  copy_tokenizer_files(from, temporary);
  commit_atomic_directory(temporary, output);
}

void write_gguf_adapter(const OpenedAdapter& opened, const fs::path& file) {
  const PeftAdapter plain = plain_adapter(opened.adapter, PlainRanks::own);
  const fs::path folder = fs::absolute(opened.folder / "").lexically_normal().parent_path();
  const std::vector<GgufKey> keys = gguf_adapter_keys(plain, *opened.spec, folder.filename().string());
  const std::vector<GgufFactor> factors = gguf_adapter_factors(plain, *opened.spec, opened.folder);
  std::vector<GgufTensorToWrite> tensors;
  std::ranges::transform(factors, std::back_inserter(tensors), &GgufFactor::written);
  std::size_t next = 0;
  write_gguf(file, keys, tensors, [&](const GgufTensorToWrite&) {
    const auto bytes = std::as_bytes(std::span(factors[next++].values));
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  });
}

/// The call of the reader with what was written.
std::string usage_of(const ExportOptions& options, std::int64_t rank) {
  const std::string model = options.merge.model.empty() ? "BASE" : options.merge.model;
  const std::string& output = options.merge.output;
  switch (*options.reader) {
    case Reader::vllm:
      return fmt::format("vllm serve {} --enable-lora --max-lora-rank {} --lora-modules NAME={}", model, vllm_max_lora_rank(rank),
                         output);
    case Reader::llama_cpp:
      return fmt::format("llama-cli -m BASE.gguf --lora {}", output);
    case Reader::peft:
    case Reader::gguf:
      break;
  }
  return fmt::format("PeftModel.from_pretrained(base, \"{}\")", output);
}

/// An adapter fits the weights that it was trained on.
void warn_of_base(const ExportOptions& options, const Console& console) {
  const std::optional<BaseFormat> trained = recorded_base_format(options.merge.adapters.front());
  if (!trained || trained->quantization == Quantization::none || options.merge.onto == Onto::full) {
    return;
  }
  console.warn(
      fmt::format("the adapter was trained on a base held as {}; on the plain base it computes another function. Load the base "
                  "in that format, or export the merged model (--for gguf, or lora_dist merge); --onto full says that the "
                  "plain base is meant",
                  describe(*trained)));
}

std::string_view word_of_fit(Fit fit) { return fit == Fit::as_is ? "yes" : fit == Fit::exported ? "by export" : "no"; }

/// One adapter's lines; throws where --for names a reader that does not take it.
void check_one(const std::string& given, const ExportOptions& options, const std::optional<ModelSpec>& spec,
               const Console& console) {
  const AdapterFacts facts = facts_of(given, spec);
  if (options.merge.adapters.size() > 1) {
    console.line(given + ":");
  }
  if (is_readable(facts)) {
    const PeftAdapter adapter = read_peft_adapter(facts.folder);  // pairs, shapes and ranks
    if (spec) {
      layout_of(adapter, *spec, facts.folder.string());
    }
  }
  std::string refused;
  for (const auto& [word, reader] : kReaders) {
    if (options.reader && *options.reader != reader) {
      continue;
    }
    const ReaderVerdict verdict = verdict_of(reader, facts);
    console.line(fmt::format("{:10} {:10} {}", word, word_of_fit(verdict.fit), verdict.reason));
    refused = options.reader && verdict.fit == Fit::no ? verdict.reason : refused;
  }
  if (facts.model_type.empty()) {
    console.line("the base's family is not known from the names of tensors; with --model DIR it is checked as well");
  }
  if (is_readable(facts) && spec) {
    console.line(fmt::format("every tensor has its place in {}", options.merge.model));
  }
  if (!refused.empty()) {
    throw Error(ExitCode::model, fmt::format("{}: {}", facts.folder.string(), refused));
  }
}

}  // namespace

void export_adapter(Communicator& world, const ExportOptions& options, const Console& console) {
  const fs::path output = options.merge.output;
  OpenedAdapter opened;
  run_together(world, [&] {
    check_output_is_new(options.merge.output);
    opened = open_adapter(options);
  });
  warn_of_base(options, console);
  const WorkFolder folder(output, world);
  run_together(world, [&] {
    if (!folder.owned) {
      return;
    }
    std::int64_t rank = opened.adapter.config.r;
    if (opened.copied) {
      copy_folder(opened.folder, folder.path / "adapter");
      commit_atomic_directory(folder.path / "adapter", output);
      console.line(fmt::format("{}: copied as it is; use it with\n  {}", output.string(), usage_of(options, rank)));
      return;
    }
    if (options.reader == Reader::llama_cpp) {
      write_gguf_adapter(opened, folder.path / "adapter.gguf");
      commit_file(folder.path / "adapter.gguf", output);
    } else {
      const bool plain = options.reader == Reader::vllm;
      const PeftAdapter written = plain ? plain_adapter(opened.adapter, PlainRanks::same) : for_peft(opened.adapter);
      rank = written.config.r;
      write_folder(written, opened.origin, folder.path / "adapter");
      commit_atomic_directory(folder.path / "adapter", output);
    }
    console.line(fmt::format("{}: {} modules; use it with\n  {}", output.string(), adapted_paths(opened.adapter).size(),
                             usage_of(options, rank)));
  });
}

void check_adapter(Communicator& world, const ExportOptions& options, const Console& console) {
  run_together(world, [&] {
    const std::optional<ModelSpec> spec = spec_of(options);
    for (const std::string& given : options.merge.adapters) {
      check_one(given, options, spec, console);
    }
  });
  warn_of_base(options, console);
}

}  // namespace lora_dist
