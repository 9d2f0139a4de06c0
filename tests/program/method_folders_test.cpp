// Folders of adapter methods: what other programs get of them, and what is refused.
#include <gtest/gtest.h>

#include <cstring>

#include "src/checkpoint/manifest.h"
#include "tests/program/method_runs.h"

namespace lora_dist::program::method_folders_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kTensors = "adapter_model.safetensors";

/// A copy of a golden's folder, with other settings in adapter_config.json.
fs::path changed_folder(const MethodCase& c, const fs::path& to, const json& settings) {
  fs::remove_all(to);
  fs::copy(golden_folder(c) / "adapter_none", to, fs::copy_options::recursive);
  json config = read_json(to / "adapter_config.json");
  config.update(settings);
  put_file(to / "adapter_config.json", config.dump());
  return to;
}

/// The header of a safetensors file, without the length before it and the data behind it.
json header_of(const fs::path& file) {
  const std::string bytes = get_file(file);
  std::uint64_t size = 0;
  std::memcpy(&size, bytes.data(), sizeof(size));
  return json::parse(bytes.substr(sizeof(size), size));
}

/// Replaces the header of a safetensors file. `keep_data`: or leave the data out.
void put_header(const fs::path& file, const json& header, bool keep_data) {
  const std::string bytes = get_file(file);
  std::uint64_t size = 0;
  std::memcpy(&size, bytes.data(), sizeof(size));
  const std::string data = keep_data ? bytes.substr(sizeof(size) + size) : std::string();
  const std::string text = header.dump();
  size = text.size();
  std::string begin(sizeof(size), '\0');
  std::memcpy(begin.data(), &size, sizeof(size));
  put_file(file, begin + text + data);
}

Launch inspect(const fs::path& folder) {
  Launch launch;
  launch.arguments = {"inspect", folder.string()};
  return launch;
}

Launch export_of(const MethodCase& c, const fs::path& adapter, const std::string& reader, const fs::path& output) {
  Launch launch;
  launch.arguments = {"export", "--adapter", adapter.string(), "--model",      base_folder(c).string(),
                      "--for",  reader,      "--output",       output.string()};
  return launch;
}

/// PEFT reads VeRA's projections from the folder, unless its configuration has it draw them.
TEST(MethodFolders, AnExportOfVeraHasItsProjections) {
  const MethodCase c{"vera", "llama3"};
  const Scratch scratch;
  expect_success(export_of(c, golden_folder(c) / "adapter_none", "peft", scratch / "out"));
  const PeftAdapter exported = read_peft_adapter(scratch / "out");
  const PeftAdapter original = read_peft_adapter(golden_folder(c) / "adapter_none");
  ASSERT_EQ(exported.shared.size(), 2U);
  for (const auto& [name, matrix] : original.shared) {
    EXPECT_EQ(exported.shared.at(name).shape, matrix.shape) << name;
    EXPECT_EQ(exported.shared.at(name).values, matrix.values) << name;
  }
  EXPECT_EQ(largest_difference(exported, original), 0.0);
}

TEST(MethodFolders, VerasProjectionsMustHaveTheRankOnTheirOwnAxis) {
  const MethodCase c{"vera", "llama3"};
  const Scratch scratch;
  const fs::path folder = changed_folder(c, scratch / "adapter", json::object());
  for (const auto& [name, shape] : {std::pair{"vera_A", json{72, 4}}, std::pair{"vera_B", json{4, 72}}}) {
    json header = header_of(golden_folder(c) / "adapter_none" / kTensors);
    header[std::string("base_model.") + name]["shape"] = shape;
    put_header(folder / kTensors, header, true);
    expect_error(inspect(folder), 4, {name, "and adapter_config.json gives r = 4; save the adapter again"});
  }
}

/// The projections are part of what a run trains: they are not in its checkpoints.
TEST(MethodFolders, VeraResumesWithItsOwnProjectionsOnly) {
  const MethodCase c{"vera", "llama3"};
  const Scratch scratch;
  const fs::path rows = training_rows(base_folder(c), scratch / "rows.jsonl");
  Settings settings = settings_of(c, "none", rows, scratch / "out");
  const fs::path start = scratch / "start";
  fs::copy(golden_folder(c) / "init_none", start, fs::copy_options::recursive);
  settings["adapter.init_from"] = start.string();
  settings["train.schedule"] = "constant";
  settings["train.warmup_ratio"] = "0";
  settings["train.max_steps"] = "2";
  settings["checkpoint.every"] = "1";
  expect_success(launch_of(settings, 1));
  std::string bytes = get_file(start / kTensors);
  const std::uint64_t data = bytes.size() - 4;
  bytes[data] = static_cast<char>(bytes[data] ^ 1);  // the last value of the last projection
  put_file(start / kTensors, bytes);
  settings["train.max_steps"] = "3";
  expect_error(launch_of(settings, 2), 2, {"projections of the adapter (digest)"});
}

/// Settings that the program added later have their defaults in runs that began before.
TEST(MethodFolders, ACheckpointWithoutNewerSettingsIsResumed) {
  const Scratch scratch;
  Settings settings = short_run(scratch / "out");
  settings["train.schedule"] = "constant";
  settings["train.warmup_ratio"] = "0";
  settings["train.max_steps"] = "2";
  expect_success(launch_of(settings, 1));
  const fs::path file = scratch / "out/checkpoints/step_00000002/MANIFEST.json";
  json manifest = read_json(file);
  ASSERT_EQ(manifest["settings"].erase("adapter.bottleneck.reduction"), 1U);
  ASSERT_EQ(manifest["settings"].erase("adapter.rslora"), 1U);
  manifest.erase("manifest_sha256");
  put_file(file, seal_manifest(manifest));
  settings["train.max_steps"] = "3";
  settings["adapter.rslora"] = "true";
  expect_error(launch_of(settings, 1), 2, {"adapter.rslora"});
  settings.erase("adapter.rslora");
  expect_success(launch_of(settings, 2));
  expect_steps(scratch / "out", 3);
}

TEST(MethodFolders, AdaLoraRefusesWhatPeftDoesNotWrite) {
  const MethodCase c{"adalora", "llama3"};
  const Scratch scratch;
  const auto refuse = [&](const json& settings, const std::string& text) {
    expect_error(inspect(changed_folder(c, scratch / "adapter", settings)), 4,
                 {(scratch / "adapter/adapter_config.json").string(), text});
  };
  refuse({{"beta1", 7}}, "beta1 must be above 0 and below 1 (got 7)");
  refuse({{"beta2", 1.0}}, "beta2 must be above 0 and below 1 (got 1)");
  refuse({{"orth_reg_weight", -3}}, "orth_reg_weight must be at least 0 (got -3)");
  refuse({{"use_dora", true}}, "use_dora is true, which AdaLoRA does not have");
  refuse({{"use_rslora", true}}, "use_rslora is true, which AdaLoRA does not have");
}

TEST(MethodFolders, AdaLorasTargetIsBelowTheFoldersRanks) {
  const MethodCase c{"adalora", "llama3"};
  const Scratch scratch;
  Settings settings = settings_of(c, "none", training_rows(base_folder(c), scratch / "rows.jsonl"), scratch / "out");
  std::erase_if(settings, [](const auto& setting) { return setting.first.starts_with("adapter.adalora."); });
  settings["adapter.adalora.target_r"] = "7";
  settings["adapter.adalora.init_r"] = "12";
  expect_error(launch_of(settings, 1), 2, {"adapter.adalora."});
  settings.erase("adapter.adalora.init_r");
  expect_error(launch_of(settings, 1), 2, {"adapter.adalora.target_r is 7", "more than its init_r = 4; set a smaller one"});
}

TEST(MethodFolders, AnAdaLoraWithoutRanksHasNothingToExport) {
  const MethodCase c{"adalora", "llama3"};
  const Scratch scratch;
  json kept = json::object();
  json header;
  const json full = header_of(golden_folder(c) / "adapter_none" / kTensors);
  for (const auto& [name, tensor] : full.items()) {
    if (name == "__metadata__") {
      continue;
    }
    const bool columns = name.find(".lora_B") != std::string::npos;
    json empty = tensor;
    empty["shape"][columns ? 1 : 0] = 0;
    empty["data_offsets"] = {0, 0};
    header[name] = empty;
  }
  const json config = read_json(golden_folder(c) / "adapter_none/adapter_config.json");
  for (const auto& [name, flags] : config["rank_pattern"].items()) {
    kept[name] = std::vector<bool>(flags.size(), false);
  }
  const fs::path folder = changed_folder(c, scratch / "adapter", {{"rank_pattern", kept}});
  put_header(folder / kTensors, header, false);
  expect_error(export_of(c, folder, "vllm", scratch / "out"), 4, {"none of its ranks is left", "nothing to export"});
}

TEST(MethodFolders, NoOtherProgramReadsABottleneck) {
  const MethodCase c{"bottleneck_pfeiffer", "llama3"};
  const Scratch scratch;
  for (const char* reader : {"peft", "vllm", "llama.cpp"}) {
    expect_error(export_of(c, golden_folder(c) / "adapter_none", reader, scratch / "out.gguf"), 4,
                 {"it is a bottleneck adapter of the adapters library"});
  }
}

TEST(MethodFolders, ADamagedBottleneckIsFoundWithoutItsModel) {
  const MethodCase c{"bottleneck_pfeiffer", "llama3"};
  const Scratch scratch;
  const fs::path folder = changed_folder(c, scratch / "adapter", json::object());
  const fs::path file = folder / "adapter.safetensors";
  const json full = header_of(file);
  const auto refuse = [&](const json& header, bool keep_data, const std::string& text) {
    fs::copy_file(golden_folder(c) / "adapter_none/adapter.safetensors", file, fs::copy_options::overwrite_existing);
    put_header(file, header, keep_data);
    expect_error(inspect(folder), 4, {file.string(), text, "the adapter was not saved whole"});
  };
  refuse(json::object(), false, "holds no tensors");
  json flat = full;
  json other = full;
  for (const auto& [name, tensor] : full.items()) {
    if (name.ends_with("adapter_up.weight")) {
      const std::int64_t out = tensor["shape"][0];
      const std::int64_t in = tensor["shape"][1];
      flat[name]["shape"] = {out * in};
      other[name]["shape"] = {in, out};
    }
  }
  refuse(flat, true, "has no adapter_up of 2 dimensions");
  refuse(other, true, "do not fit each other");
}

}  // namespace
}  // namespace lora_dist::program::method_folders_test
