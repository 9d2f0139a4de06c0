// lora_dist inspect: shows the content of a checkpoint, adapter, model folder or safetensors file, and verifies it.
#include <fmt/ranges.h>

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "src/adapter/adapter_folders.h"
#include "src/base/base_hash.h"
#include "src/base/prequantized.h"
#include "src/checkpoint/checkpoint.h"
#include "src/comm/agree.h"
#include "src/commands/command.h"
#include "src/commands/inspect_adapter.h"
#include "src/commands/option_values.h"
#include "src/commands/watch_command.h"
#include "src/core/error.h"
#include "src/io/base_store.h"
#include "src/io/file.h"
#include "src/io/gguf.h"
#include "src/io/gguf_model.h"
#include "src/io/safetensors.h"
#include "src/io/sha256.h"
#include "src/job/data_setup.h"
#include "src/model/folder_warnings.h"
#include "src/model/model_config.h"
#include "src/report/console.h"

namespace lora_dist {

namespace {

using nlohmann::json;
namespace fs = std::filesystem;
namespace po = boost::program_options;

struct InspectOptions {
  std::string path;
  bool verify = false;
  bool tensors = false;
};

void describe(CommandUse& use, InspectOptions& options) {
  use.path = &options.path;
  use.options.add_options()                                                                            //
      ("verify", po::bool_switch(&options.verify), "read everything and compare it with its digests")  //
      ("tensors", po::bool_switch(&options.tensors), "list the tensors of an adapter; those of a model always are");
}

void check(const InspectOptions& options) {
  if (options.path.empty()) {
    fail_usage("inspect needs the path of a checkpoint, adapter or model folder");
  }
}

/// Reads every byte of every tensor; throws for a truncated or unreadable file.
void read_all(const TensorDirectory& directory) {
  std::vector<std::byte> bytes;
  for (const auto& [name, tensor] : directory.tensors) {
    constexpr std::uint64_t kPiece = std::uint64_t{4} << 20;
    for (std::uint64_t at = 0; at < tensor.bytes; at += kPiece) {
      bytes.resize(static_cast<std::size_t>(std::min(kPiece, tensor.bytes - at)));
      read_tensor_bytes(tensor, at, bytes);
    }
  }
}

void show_tensors(const TensorDirectory& directory, const Console& console) {
  for (const auto& [name, tensor] : directory.tensors) {
    console.line(fmt::format("  {:60} {:5} [{}]", name, dtype_text(tensor), fmt::join(tensor.shape, ", ")));
  }
}

void inspect_checkpoint(const fs::path& path, const Console& console) {
  const std::vector<std::string> problems =
      verify_checkpoint(path);  // always: the content of a damaged checkpoint is meaningless
  if (!problems.empty()) {
    throw Error(ExitCode::model,
                fmt::format("{}: this checkpoint is not sound:\n  {}", path.string(), fmt::join(problems, "\n  ")));
  }
  const json manifest = json::parse(read_text_file(path / "MANIFEST.json", ExitCode::model));
  console.line(fmt::format("checkpoint {}", path.string()));
  for (const auto& [key, value] : manifest.items()) {
    if (!value.is_structured()) {
      console.line(fmt::format("  {:28} {}", key, value.is_string() ? value.get<std::string>() : value.dump()));
    }
  }
  if (manifest.contains("matrices")) {
    console.line(
        fmt::format("  {:28} {} in {} files", "trained matrices", manifest["matrices"].size(), manifest["matrix_shards"].size()));
  }
  for (const char* key : {"settings", "progress"}) {
    if (manifest.contains(key)) {
      console.line(fmt::format("  {}\n{}", key, manifest[key].dump(4)));
    }
  }
  console.line("all digests are right");
}

void inspect_model(const fs::path& path, bool verify, const Console& console) {
  const ModelSpec spec = read_model_config(path);
  const TensorDirectory directory = read_model_directory(path);
  const std::optional<BaseFormat> stored = stored_format(check_model_tensors(spec, directory));
  const bool from_gguf = find_gguf(path).has_value();
  const char* origin = fs::exists(path / kBaseStoreFile) ? " (a base store)" : " (by bitsandbytes)";
  console.line(fmt::format(
      "model {}\n  type            {}\n  layers          {}\n  hidden          {}\n  heads           {} ({} kv, head_dim {})\n"
      "  intermediate    {}\n  vocabulary      {}\n  positions       {}\n  tied head       {}\n  weights         {}",
      path.string(), spec.model_type, spec.layers, spec.hidden, spec.heads, spec.kv_heads, spec.head_dim, spec.intermediate,
      spec.vocab, spec.max_positions, spec.tied_head,
      stored      ? describe(*stored) + origin
      : from_gguf ? "of a GGUF file"
                  : "not quantized"));
  for (const std::string& warning : folder_warnings(spec, directory)) {
    console.warn(warning);
  }
  open_model_tokenizer(path, spec);  // throws if it does not match the model
  show_tensors(directory, console);
  if (const auto made_from = directory.metadata.find("made_from"); made_from != directory.metadata.end()) {
    console.line("base store made from " + made_from->second);
  }
  if (verify && fs::exists(path / kBaseStoreFile)) {
    if (const std::vector<std::string> problems = base_store_problems(path / kBaseStoreFile); !problems.empty()) {
      throw Error(ExitCode::model, fmt::format("this base store is not sound:\n  {}", fmt::join(problems, "\n  ")));
    }
    console.line("every tensor is there, in its shape, and has its digest");
  } else if (verify) {
    read_all(directory);
    console.line("every tensor is there, in its shape, and can be read");
  }
}

/// A LoRA as GGUF file, which is no model; empty for other paths.
std::optional<GgufFile> read_gguf_adapter(const fs::path& path) {
  if (!has_gguf_ending(path) || !fs::is_regular_file(path)) {
    return std::nullopt;
  }
  GgufFile file = read_gguf(path);
  const std::string* type = file.text("general.type");
  return type != nullptr && *type == "adapter" ? std::optional(std::move(file)) : std::nullopt;
}

void inspect_gguf_adapter(const GgufFile& file, bool list_tensors, const Console& console) {
  const auto shown = [&](const char* key) { return file.text(key) ? shown_gguf_text(*file.text(key)) : std::string("not said"); };
  std::map<std::int64_t, int> ranks;  // and how many modules have them
  for (const auto& [name, tensor] : file.tensors) {
    if (name.ends_with(".lora_a")) {
      ++ranks[tensor.shape.front()];
    }
  }
  std::string counts;
  for (const auto& [rank, modules] : ranks) {
    counts += fmt::format("{}{} ({} modules)", counts.empty() ? "" : ", ", rank, modules);
  }
  const std::optional<double> alpha = file.number("adapter.lora.alpha");
  console.line(
      fmt::format("adapter {} (a GGUF file for llama.cpp)\n  architecture    {}\n  type            {}\n  name            {}\n"
                  "  alpha           {}\n  ranks           {}",
                  file.path.string(), shown("general.architecture"), shown("adapter.type"), shown("general.name"),
                  alpha ? fmt::format("{}", *alpha) : "not said", counts.empty() ? "none" : counts));
  for (const auto& [name, tensor] : file.tensors) {
    if (list_tensors) {
      console.line(fmt::format("  {:60} {:5} [{}]", shown_gguf_text(name), tensor.type->name, fmt::join(tensor.shape, ", ")));
    }
  }
}

void inspect_tensors(const fs::path& path, bool verify, const Console& console) {
  const TensorDirectory directory = read_safetensors_header(path);
  console.line(fmt::format("safetensors {}", path.string()));
  show_tensors(directory, console);
  if (verify) {
    read_all(directory);
    console.line(fmt::format("SHA-256 {}", sha256_of_file(path)));
  }
}

int run(Communicator& world, const ProcessInfo& process, const InspectOptions& options) {
  const auto watchdog = watch_command(world, process);
  const Console console{world.rank() == 0};
  run_together(world, [&] {
    if (world.rank() != 0) {
      return;
    }
    const fs::path path = options.path;
    if (!fs::exists(path)) {
      throw Error(ExitCode::model, fmt::format("{}: no such file or folder", path.string()));
    }
    if (fs::exists(path / "MANIFEST.json") || path.filename().string().starts_with("step_")) {
      inspect_checkpoint(path, console);
    } else if (fs::exists(adapter_folders(path).front() / "adapter_config.json")) {
      for (const fs::path& folder : adapter_folders(path)) {
        inspect_adapter(folder, options.tensors, options.verify, console);
      }
    } else if (const std::optional<GgufFile> adapter = read_gguf_adapter(path)) {
      inspect_gguf_adapter(*adapter, options.tensors, console);
    } else if (find_gguf(path) || fs::exists(path / "config.json")) {
      inspect_model(path, options.verify, console);
    } else if (path.extension() == ".safetensors") {
      inspect_tensors(path, options.verify, console);
    } else {
      throw Error(ExitCode::model,
                  fmt::format("{}: is neither a checkpoint (MANIFEST.json), an adapter (adapter_config.json), a model folder "
                              "(config.json) nor a safetensors or GGUF file",
                              path.string()));
    }
  });
  return static_cast<int>(ExitCode::done);
}

}  // namespace

CommandUse inspect_command() { return make_use<InspectOptions>(describe, check, run); }

}  // namespace lora_dist
