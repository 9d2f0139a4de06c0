// Methods that leave linear layers alone: trained norms and bottleneck adapters.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "src/model/tensor_table.h"
#include "tests/program/method_runs.h"

namespace lora_dist::program::methods_beside_linears_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// A new adapter has PEFT's norms, with the base's values: the loss before the first step is the base's.
TEST(LnTuning, StartsAsPeftDoes) {
  for (const char* base : {"llama3", "qwen3", "gpt2", "gemma2"}) {
    const MethodCase c{"ln_tuning", base};
    for (const int tensor : {1, 2}) {
      const Scratch scratch;
      const fs::path rows = training_rows(base_folder(c), scratch / "train.jsonl");
      Settings settings = settings_of(c, "none", rows, scratch / "out");
      settings.erase("adapter.init_from");
      settings["train.max_steps"] = "1";
      settings["train.learning_rate"] = "0";
      settings["parallel.tensor"] = std::to_string(tensor);
      const Finished shown = expect_success(launch_of(settings, 2));
      EXPECT_EQ(count_of(shown.out, "adapter    ln_tuning, without r, alpha and dropout; fresh"), 1) << shown.out;
      EXPECT_EQ(count_of(shown.out, read_json(golden_folder(c) / "golden.json")["trainable"].get<std::string>()), 1) << shown.out;
      const PeftAdapter ours = read_peft_adapter(scratch / "out/adapter");
      const PeftAdapter theirs = read_peft_adapter(golden_folder(c) / "adapter_none");
      std::vector<std::string> names = ours.config.target_modules;
      std::ranges::sort(names);
      EXPECT_EQ(names, theirs.config.target_modules);
      EXPECT_EQ(ours.tensors.size(), theirs.tensors.size());
      const TensorDirectory weights = read_model_directory(base_folder(c));
      for (const auto& [name, matrix] : ours.tensors) {
        const std::string path = name.substr(0, name.find(".ln_tuning_layers"));
        const std::string ending = name.ends_with(".bias") ? ".bias" : ".weight";
        const TensorInfo& weight = weights.tensors.at(path + ending);
        EXPECT_THAT(matrix.values, testing::Pointwise(testing::FloatNear(6e-8F), read_floats(weight, 0, weight.shape[0])))
            << name;  // Gemma's 1 was added and taken away again
      }
    }
  }
}

TEST(LnTuning, NamesNormsAlone) {
  const MethodCase c{"ln_tuning", "gemma2"};
  const Scratch scratch;
  Settings settings = settings_of(c, "none", training_rows(base_folder(c), scratch / "train.jsonl"), scratch / "out");
  settings.erase("adapter.init_from");
  settings["train.max_steps"] = "2";
  settings["adapter.target_modules"] = "q_proj";
  expect_error(launch_of(settings, 1), 2,
               {"adapter.target_modules: \"q_proj\" matches no norm that ln_tuning trains in this gemma2 model; there are "
                "input_layernorm, pre_feedforward_layernorm, post_attention_layernorm, post_feedforward_layernorm, norm"});
  settings["adapter.target_modules"] = R"(["model.layers.1.input_layernorm", "norm"])";
  expect_success(launch_of(settings, 2));
  const PeftAdapter adapter = read_peft_adapter(scratch / "out/adapter");
  EXPECT_EQ(adapter.config.target_modules, (std::vector<std::string>{"model.layers.1.input_layernorm", "norm"}));
  EXPECT_EQ(adapter.tensors.size(), 2U);
  settings["adapter.init_from"] = (scratch / "out/adapter").string();
  settings["output.dir"] = (scratch / "again").string();
  settings["adapter.target_modules"] = "norm";
  expect_error(launch_of(settings, 1), 2, {"adapter.target_modules names other layers than the adapter in adapter.init_from"});
  settings.erase("adapter.target_modules");
  settings["adapter.exclude_modules"] = "norm";
  expect_error(launch_of(settings, 1), 2, {"adapter.exclude_modules is an option of lora, dora, ia3"});
  Launch inspect;
  inspect.arguments = {"inspect", (scratch / "out/adapter").string()};
  const Finished shown = expect_success(inspect);
  EXPECT_NE(shown.out.find("LN tuning (norms below are of the norms' weights)"), std::string::npos) << shown.out;
}

/// Ranks that share every token compute the same gradients, sequence-parallel ones parts of a sum.
TEST(Mesh, OfMethodsBesideLinears) {
  for (const auto& [method, placement] : {std::pair{"ln_tuning", "pfeiffer"}, std::pair{"bottleneck", "pfeiffer"},
                                          std::pair{"bottleneck", "houlsby"}, std::pair{"bottleneck", "parallel"}}) {
    const Scratch scratch;
    const auto run = [&](const std::string& name, int ranks, const Settings& more) {
      Settings settings = short_run(scratch / name);
      settings.erase("adapter.target_modules");
      settings["adapter.method"] = method;
      if (std::string(method) == "bottleneck") {
        settings["adapter.bottleneck.placement"] = placement;
      }
      settings["train.max_steps"] = "3";
      settings.insert(more.begin(), more.end());
      expect_success(launch_of(settings, ranks));
      return read_peft_adapter(scratch / name / "adapter");
    };
    const PeftAdapter alone = run("alone", 1, {});
    EXPECT_LE(largest_difference(run("tensor", 2, {{"parallel.tensor", "2"}}), alone), 1e-4) << method << " " << placement;
    EXPECT_LE(largest_difference(run("mesh", 4, {{"parallel.tensor", "2"}, {"train.recompute", "none"}}), alone), 1e-4) << method;
    EXPECT_LE(largest_difference(run("sequence", 2, {{"parallel.tensor", "2"}, {"parallel.sequence_parallel", "true"}}), alone),
              1e-4)
        << method << " " << placement;
  }
}

/// A new adapter has the adapters library's shapes and first values.
TEST(Bottleneck, StartsAsTheLibraryDoes) {
  for (const char* placement : {"pfeiffer", "houlsby", "parallel"}) {
    const MethodCase c{placement == std::string("pfeiffer")  ? "bottleneck_pfeiffer"
                       : placement == std::string("houlsby") ? "bottleneck_houlsby"
                                                             : "bottleneck_parallel",
                       "llama3"};
    const Scratch scratch;
    Settings settings = settings_of(c, "none", training_rows(base_folder(c), scratch / "train.jsonl"), scratch / "out");
    settings.erase("adapter.init_from");
    settings["train.max_steps"] = "1";
    settings["train.learning_rate"] = "0";
    const Finished shown = expect_success(launch_of(settings, 1));
    EXPECT_EQ(count_of(shown.out, read_json(golden_folder(c) / "golden.json")["trainable"].get<std::string>()), 1) << shown.out;
    EXPECT_EQ(count_of(shown.out, fmt::format("adapter    bottleneck, {}, hidden / 8; fresh", placement)), 1) << shown.out;
    const PeftAdapter ours = read_peft_adapter(scratch / "out/adapter");
    const PeftAdapter theirs = read_peft_adapter(golden_folder(c) / "adapter_none");
    EXPECT_EQ(ours.tensors.size(), theirs.tensors.size());
    double squares = 0.0;
    double count = 0.0;
    for (const auto& [name, matrix] : ours.tensors) {
      EXPECT_EQ(matrix.shape, theirs.tensors.at(name).shape) << name;
      const bool zero = name.ends_with(".bias") || (std::string(placement) == "parallel" && name.ends_with("adapter_up"));
      EXPECT_EQ(std::ranges::all_of(matrix.values, [](float value) { return value == 0.0F; }), zero) << name;
      for (const float value : matrix.values) {
        squares += zero ? 0.0 : static_cast<double>(value) * static_cast<double>(value);
        count += zero ? 0.0 : 1.0;
      }
    }
    // 0.02, or uniform in +- 1 / sqrt(40); of some 800 values the deviation is known to 3 % or so
    EXPECT_NEAR(std::sqrt(squares / count), std::string(placement) == "parallel" ? 1.0 / std::sqrt(3.0 * 40.0) : 0.02, 0.01);
  }
}

TEST(Bottleneck, ChangesNoWeightsAndFitsNotEveryModel) {
  const MethodCase c{"bottleneck_pfeiffer", "llama3"};
  const Scratch scratch;
  Launch merge;
  merge.arguments = {"merge",
                     "--model",
                     base_folder(c).string(),
                     "--adapter",
                     (golden_folder(c) / "adapter_none").string(),
                     "--quantization",
                     "none",
                     "--output",
                     (scratch / "merged").string()};
  expect_error(merge, 2, {"an adapter of method bottleneck changes no weights, and so cannot be merged"});
  Settings settings = settings_of(c, "none", training_rows(base_folder(c), scratch / "train.jsonl"), scratch / "out");
  settings["adapter.bottleneck.reduction"] = "4";
  expect_error(launch_of(settings, 1), 2, {"adapter.bottleneck.reduction differs from that of the adapter in adapter.init_from"});
  settings.erase("adapter.init_from");
  const fs::path side_by_side = source("tests/golden/families/gpt_neox_parallel");
  settings["model.path"] = side_by_side.string();
  settings["data.train"] = toml_list({training_rows(side_by_side, scratch / "rows.jsonl")});
  expect_error(launch_of(settings, 1), 2, {"gpt_neox models run attention and MLP side by side"});
  settings["adapter.method"] = "lora";
  expect_error(launch_of(settings, 1), 2,
               {"adapter.bottleneck.reduction is an option of bottleneck, and adapter.method is lora"});
}

/// Settings and tensors of the adapters library that would change what is computed.
TEST(Bottleneck, RefusesOtherAdaptersOfTheLibrary) {
  const MethodCase c{"bottleneck_pfeiffer", "llama3"};
  const fs::path from = golden_folder(c) / "adapter_none";
  const Scratch scratch;
  const auto refuse = [&](const std::string& key, const json& value, const std::string& text) {
    fs::remove_all(scratch / "adapter");
    fs::copy(from, scratch / "adapter", fs::copy_options::recursive);
    json config = read_json(from / "adapter_config.json");
    config["config"][key] = value;
    put_file(scratch / "adapter/adapter_config.json", config.dump());
    Launch inspect;
    inspect.arguments = {"inspect", (scratch / "adapter").string()};
    expect_error(inspect, 4, {(scratch / "adapter/adapter_config.json").string(), text});
  };
  refuse("ln_before", true, "ln_before is true, which this program does not do");
  refuse("inv_adapter", "nice", "inv_adapter is \"nice\", which this program does not do");
  refuse("non_linearity", "tanh", "non_linearity is \"tanh\", which this program does not do");
  refuse("mh_adapter", true, "mh_adapter, is_parallel and original_ln_before are those of no placement that this program has");
  refuse("reduction_factor", 0.5, "reduction_factor must be at least 1 (got 0.5)");
  fs::copy(from / "adapter_config.json", scratch / "adapter/adapter_config.json", fs::copy_options::overwrite_existing);
  Launch score;
  score.arguments = {"score",
                     "--model",
                     source("tests/golden/families/qwen2_window").string(),
                     "--adapter",
                     (scratch / "adapter").string(),
                     "--input",
                     score_rows(c, scratch / "rows.jsonl").string(),
                     "--output",
                     (scratch / "out").string()};
  expect_error(score, 4, {"model.layers.2.output_adapters.adapter_down", "was not saved whole, or belongs to another model"});
  score.arguments[2] = source("tests/golden/families/mistral_window").string();
  expect_error(score, 4, {"has shape [5, 40], this model needs [4, 36]"});
  fs::remove(scratch / "adapter/adapter.safetensors");
  expect_error(score, 4, {"has no adapter.safetensors; save the adapter again with use_safetensors=True"});
}

}  // namespace
}  // namespace lora_dist::program::methods_beside_linears_test
