// Writes the files of a model folder with the trained values in place of the base's.
#include "src/train/save_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "kernels/elementwise/elementwise.h"
#include "src/adapter/adapter_bridge.h"
#include "src/adapter/peft_adapter.h"
#include "src/base/finite_weights.h"
#include "src/comm/agree.h"
#include "src/convert/merge_weights.h"
#include "src/core/activity.h"
#include "src/io/atomic_directory.h"
#include "src/io/file.h"
#include "src/model/family.h"
#include "src/train/host_copy.h"

namespace lora_dist {

namespace {

namespace fs = std::filesystem;

/// The numbers before a piece's values in a message.
struct PieceHeader {
  StridedSlice part;
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

void append_bytes(std::string& text, std::span<const std::byte> bytes) {
  text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

/// Puts all pieces of a rank's message in their places.
void put_message(const std::string& message, std::span<float> whole) {
  for (std::size_t at = 0; at < message.size();) {
    PieceHeader header;
    std::memcpy(&header, message.data() + at, sizeof header);
    at += sizeof header;
    std::vector<float> values(static_cast<std::size_t>(header.end - header.begin));
    std::memcpy(values.data(), message.data() + at, values.size() * sizeof(float));
    at += values.size() * sizeof(float);
    put_piece({header.part, {header.begin, header.end}}, values, whole);
  }
}

/// A trained tensor of the files: a matrix, or a vector of the flat buffer.
struct TrainedSource {
  const TrainedMatrix* matrix = nullptr;
  std::int64_t offset = 0;  // of a vector
  std::int64_t count = 0;
};

/// By the names in the files. A copy of a tied table under the head's name is one too.
std::map<std::string, TrainedSource> sources_of(const TrainingRun& run, const std::vector<TrainedMatrix>& matrices) {
  const ModelSpec& spec = run.model->spec;
  const TensorDirectory& directory = run.model->directory;
  std::map<std::string, TrainedSource> sources;
  for (const TrainedMatrix& matrix : matrices) {
    sources[look_up_tensor(spec, directory, matrix.name)->name] = {&matrix, 0, matrix.count()};
    if (spec.tied_head && matrix.name == std::string(spec.family->names.embedding) + ".weight") {
      for (const std::string_view head : spec.family->names.heads) {
        const auto copy = directory.tensors.find(std::string(head) + ".weight");
        if (!head.empty() && copy != directory.tensors.end()) {
          sources[copy->first] = {&matrix, 0, matrix.count()};
        }
      }
    }
  }
  for (const AdapterTensor& tensor : adapter_tensors(run.layout)) {
    sources[look_up_tensor(spec, directory, tensor.name)->name] = {nullptr, tensor.offset, tensor.count};
  }
  return sources;
}

/// The dtype of a tensor in the written files.
DType written_dtype(const TrainingRun& run, const TensorInfo& tensor) {
  const bool is_float = tensor.dtype == DType::f32 || tensor.dtype == DType::f16 || tensor.dtype == DType::bf16;
  return is_float ? run.config.output.model_dtype.value_or(tensor.dtype) : tensor.dtype;
}

std::vector<std::byte> in_dtype(const TensorInfo& tensor, std::span<const float> values, DType dtype) {
  const Shape flat{static_cast<std::int64_t>(values.size())};
  std::vector<std::byte> bytes(values.size() * size_of(dtype));
  cast(view(values), {bytes.data(), dtype, flat}, Stream{});
  TensorInfo written = tensor;
  written.dtype = dtype;
  check_finite(written, bytes);
  return bytes;
}

/// A tensor that is not trained.
std::vector<std::byte> bytes_of_frozen(const TensorInfo& tensor, DType dtype) {
  if (dtype != tensor.dtype) {
    return in_dtype(tensor, read_floats(tensor, 0, static_cast<std::int64_t>(tensor.bytes / size_of(tensor.dtype))), dtype);
  }
  std::vector<std::byte> bytes(tensor.bytes);
  read_tensor_bytes(tensor, 0, bytes);
  return bytes;
}

/// A trained tensor. `whole`: of a matrix; `params`: the flat buffer on the host.
std::vector<std::byte> bytes_of_trained(const TensorInfo& tensor, const TrainedSource& source, std::span<const float> whole,
                                        std::span<const float> params, DType dtype) {
  if (source.matrix == nullptr) {
    return in_dtype(tensor, params.subspan(static_cast<std::size_t>(source.offset), static_cast<std::size_t>(source.count)),
                    dtype);
  }
  return source.matrix->transposed ? in_dtype(tensor, transposed(whole, source.matrix->rows, source.matrix->cols), dtype)
                                   : in_dtype(tensor, whole, dtype);
}

/// What the files of a model folder are written from.
struct ModelWriter {
  const TrainingRun& run;
  const std::map<std::string, TrainedSource>& sources;
  std::span<const float> params;
  fs::path folder;

  /// Returns the bytes of the file's tensors.
  std::uint64_t write_file(const fs::path& source) const {
    std::vector<TensorToWrite> tensors;
    std::uint64_t bytes = 0;
    for (const auto& [name, tensor] : run.model->directory.tensors) {
      if (tensor.file == source) {
        tensors.push_back({name, written_dtype(run, tensor), tensor.shape, {}});
        bytes += tensor.bytes / size_of(tensor.dtype) * size_of(tensors.back().dtype);
      }
    }
    const std::string header = sorted_header(tensors, {});
    std::unique_ptr<OutputFile> out;  // on rank 0
    run_together(*run.world, [&] {
      if (run.world->rank() == 0) {
        out = std::make_unique<OutputFile>(folder / source.filename(), ExitCode::model);
        out->write(header);
      }
    });
    for (const TensorToWrite& tensor : tensors) {
      write_tensor(tensor, out.get());
    }
    run_together(*run.world, [&] {
      if (out) {
        out->close();
      }
    });
    return bytes;
  }

  void write_tensor(const TensorToWrite& tensor, OutputFile* out) const {
    const TensorInfo& of_base = run.model->directory.tensors.at(tensor.name);
    const auto trained = sources.find(tensor.name);
    const bool gathers = trained != sources.end() && trained->second.matrix != nullptr;
    const std::vector<float> whole = gathers ? gather_matrix(run, *trained->second.matrix) : std::vector<float>();
    run_together(*run.world, [&] {
      heartbeat();
      if (out != nullptr) {
        out->write(trained == sources.end() ? bytes_of_frozen(of_base, tensor.dtype)
                                            : bytes_of_trained(of_base, trained->second, whole, params, tensor.dtype));
      }
    });
  }
};

/// Changes a JSON file of the folder, if it is there.
template <class Change>
void change_json(const fs::path& file, Change change) {
  std::error_code ignored;
  if (fs::exists(file, ignored)) {
    auto document = nlohmann::ordered_json::parse(read_text_file(file, ExitCode::model));
    change(document);
    write_file_atomically(file, document.dump(2) + "\n", ExitCode::model);
  }
}

/// config.json and the index say what the weights are now.
void describe_weights(const fs::path& folder, std::optional<DType> dtype, std::uint64_t bytes) {
  if (!dtype) {
    return;
  }
  change_json(folder / "config.json", [&](auto& config) {
    config[config.contains("torch_dtype") ? "torch_dtype" : "dtype"] = *dtype == DType::f32 ? "float32" : "bfloat16";
  });
  change_json(folder / kIndexName, [&](auto& index) { index["metadata"]["total_size"] = bytes; });
}

}  // namespace

std::vector<float> gather_matrix(const TrainingRun& run, const TrainedMatrix& matrix) {
  std::string mine;
  for (const TrainedPiece& piece : matrix.pieces) {
    const PieceHeader header{piece.place.part, piece.place.elements.begin, piece.place.elements.end};
    append_bytes(mine, std::as_bytes(std::span(&header, 1)));
    const std::vector<float> values = host_copy(piece.values, run.model->stream);
    append_bytes(mine, std::as_bytes(std::span(values)));
  }
  const std::vector<std::string> all = all_gather_strings(*run.world, mine);
  std::vector<float> whole;
  if (run.world->rank() == 0) {
    whole.resize(static_cast<std::size_t>(matrix.count()));
    for (const std::string& message : all) {
      put_message(message, whole);
    }
  }
  return whole;
}

void save_model(const TrainingRun& run, const std::string& name) {
  const AtWork here("writing the model");
  const std::vector<TrainedMatrix> matrices = trained_matrices(*run.trained, run.model->base, run.model->spec);
  const std::map<std::string, TrainedSource> sources = sources_of(run, matrices);
  const std::vector<float> params = host_copy(run.buffers.params, run.model->stream);
  fs::path temporary;
  run_together(*run.world, [&] {
    if (run.world->rank() == 0) {
      temporary = begin_atomic_directory(run.output / name);
      copy_other_files(run.model->folder, temporary);
    }
  });
  const ModelWriter writer{run, sources, params, temporary};
  std::uint64_t bytes = 0;
  for (const fs::path& file : run.model->directory.files) {
    bytes += writer.write_file(file);
  }
  run_together(*run.world, [&] {
    if (run.world->rank() == 0) {
      describe_weights(temporary, run.config.output.model_dtype, bytes);
      commit_atomic_directory(temporary, run.output / name);
    }
  });
}

}  // namespace lora_dist
