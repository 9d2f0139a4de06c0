// Finds the safetensors files of a model folder, and explains how to convert other formats.
#include <algorithm>
#include <array>
#include <system_error>
#include <utility>

#include "src/io/base_store.h"
#include "src/io/file.h"
#include "src/io/gguf_architecture.h"
#include "src/io/gguf_model.h"
#include "src/io/safetensors.h"
#include "src/io/strict_json.h"

namespace lora_dist {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> names_in(const fs::path& folder) {
  std::error_code problem;
  fs::directory_iterator at(folder, problem);
  if (problem) {
    throw Error(ExitCode::model, "cannot open the model folder " + folder.string() + ": " + problem.message());
  }
  std::vector<std::string> names;
  for (const fs::directory_iterator end; at != end && !problem; at.increment(problem)) {
    names.push_back(at->path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

/// Throws for a folder without model.safetensors and index; the message names the format found.
[[noreturn]] void refuse_folder(const fs::path& folder) {
  const std::vector<std::string> names = names_in(folder);
  const auto first = [&](const auto& matches) {
    const auto at = std::ranges::find_if(names, matches);
    return at == names.end() ? std::string() : *at;
  };
  const std::string where = folder.string();
  const std::string bin = first([](const std::string& n) { return n.starts_with("pytorch_model") && n.ends_with(".bin"); });
  const std::string adapter = first([](const std::string& n) { return n.starts_with("adapter_model."); });
  const std::string shard = first([](const std::string& n) { return n.ends_with(".safetensors"); });
  if (!bin.empty()) {
    throw Error(ExitCode::model, where + " holds " + bin +
                                     ", which only Python can read. Convert the folder once with\n"
                                     "  from transformers import AutoModelForCausalLM\n"
                                     "  AutoModelForCausalLM.from_pretrained(\"" +
                                     where + "\").save_pretrained(\"" + where + "\")");
  }
  if (!adapter.empty()) {
    throw Error(ExitCode::model, where + " holds an adapter (" + adapter +
                                     ") and no base model; give the base model's folder here and the "
                                     "adapter as --adapter or adapter.init_from");
  }
  if (!shard.empty()) {
    throw Error(ExitCode::model, where + " has " + shard + " but no model.safetensors.index.json; copy the index file too");
  }
  throw Error(ExitCode::model,
              where +
                  " holds neither model.safetensors nor model.safetensors.index.json; a Hugging Face model folder is needed, "
                  "or a GGUF file");
}

/// Tensor name -> file name, from the index.
std::map<std::string, std::string> read_weight_map(const fs::path& index) {
  const nlohmann::json document = read_json_file(index, ExitCode::model);
  if (!document.is_object() || !document.contains("weight_map") || !document["weight_map"].is_object()) {
    throw Error(ExitCode::model, index.string() + " has no object weight_map; copy or download it again");
  }
  std::map<std::string, std::string> weight_map;
  for (const auto& [tensor, file] : document["weight_map"].items()) {
    const std::string name = file.is_string() ? file.get<std::string>() : std::string();
    if (name.empty() || name.find('\0') != std::string::npos || fs::path(name).filename() != name || name == "." ||
        name == "..") {
      throw Error(ExitCode::model, index.string() + ": weight_map gives tensor " + tensor + " no plain file name");
    }
    weight_map[tensor] = name;
  }
  return weight_map;
}

/// A warning about tensors that are in the files but not in the index; empty if there are none.
std::vector<std::string> unlisted_tensors(const fs::path& index, const std::map<std::string, std::string>& weight_map,
                                          const TensorDirectory& all) {
  std::vector<const TensorInfo*> unlisted;
  for (const auto& [name, tensor] : all.tensors) {
    if (!weight_map.contains(name)) {
      unlisted.push_back(&tensor);
    }
  }
  if (unlisted.empty()) {
    return {};
  }
  return {index.string() + " leaves out " + std::to_string(unlisted.size()) + (unlisted.size() == 1 ? " tensor" : " tensors") +
          " of the files that it names; the first is " + unlisted.front()->name + " in " +
          unlisted.front()->file.filename().string() + ". They are read like the others"};
}

TensorDirectory read_indexed_files(const fs::path& folder, const fs::path& index) {
  const std::map<std::string, std::string> weight_map = read_weight_map(index);
  std::map<std::string, std::string> first_tensor_of;  // file name -> a tensor in it, to name in a message
  for (const auto& [tensor, file] : weight_map) {
    first_tensor_of.emplace(file, tensor);
  }
  TensorDirectory all;
  for (const auto& [file, tensor] : first_tensor_of) {
    std::error_code problem;
    if (!fs::exists(folder / file, problem)) {
      throw Error(ExitCode::model,
                  index.string() + " puts tensor " + tensor + " in " + file + ", which is missing; copy it into the folder");
    }
    TensorDirectory one = read_safetensors_header(folder / file);
    for (auto& [name, info] : one.tensors) {
      const auto [at, fresh] = all.tensors.emplace(name, std::move(info));
      if (!fresh) {
        throw Error(ExitCode::model,
                    "tensor " + name + " is both in " + at->second.file.string() + " and in " + (folder / file).string());
      }
    }
    all.files.push_back(folder / file);
  }
  for (const auto& [tensor, file] : weight_map) {
    const auto at = all.tensors.find(tensor);
    if (at == all.tensors.end() || at->second.file != folder / file) {
      throw Error(ExitCode::model, index.string() + " puts tensor " + tensor + " in " + file +
                                       ", which does not have it; copy or download both again");
    }
  }
  all.warnings = unlisted_tensors(index, weight_map, all);
  return all;
}

/// Detects unsupported quantization formats by tensor names. (bitsandbytes 4-bit is supported.)
void refuse_quantized(const TensorDirectory& directory, const fs::path& folder) {
  constexpr std::array<std::pair<const char*, const char*>, 4> kParts = {{{".SCB", "bitsandbytes in 8 bits"},
                                                                          {".qweight", "GPTQ or AWQ"},
                                                                          {".weight_packed", "compressed-tensors"},
                                                                          {".weight_scale", "compressed-tensors or in fp8"}}};
  for (const auto& [name, tensor] : directory.tensors) {
    for (const auto& [ending, by] : kParts) {
      if (name.ends_with(ending)) {
        throw Error(ExitCode::model, folder.string() + " holds weights already quantized by " + by + " (" + name +
                                         "), which cannot be read; give the folder with the original weights, or one in 4 bits "
                                         "by bitsandbytes");
      }
    }
  }
}

}  // namespace

TensorDirectory read_model_directory(const fs::path& folder) {
  std::error_code problem;
  const fs::path single = folder / "model.safetensors";
  const fs::path index = folder / kIndexName;
  TensorDirectory directory;
  if (const std::optional<fs::path> gguf = find_gguf(folder)) {
    return gguf_directory(read_gguf(*gguf));
  }
  if (fs::exists(folder / kBaseStoreFile, problem)) {
    return read_base_store(folder / kBaseStoreFile);
  }
  if (fs::exists(single, problem)) {
    directory = read_safetensors_header(single);
  } else if (fs::exists(index, problem)) {
    directory = read_indexed_files(folder, index);
  } else {
    refuse_folder(folder);
  }
  if (directory.tensors.empty()) {
    throw Error(ExitCode::model, folder.string() + " holds no tensors");
  }
  refuse_quantized(directory, folder);
  return directory;
}

}  // namespace lora_dist
