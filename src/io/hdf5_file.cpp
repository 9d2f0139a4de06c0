// Wraps HDF5's serial C interface and converts its errors.
#include "src/io/hdf5_file.h"

#include <fcntl.h>
#include <hdf5.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "kernels/common/check.h"
#include "src/core/activity.h"
#include "src/core/error.h"
#include "src/io/file.h"

namespace lora_dist {
namespace {

constexpr hsize_t kChunkBytes = 256 << 10;  // one checksum per chunk; the unit of reading
constexpr std::size_t kCachedChunkBytes = 8 << 20;
constexpr hsize_t kMaxChunkElements = hsize_t{1} << 24;
constexpr std::size_t kMaxAttributeBytes = 60'000;  // the limit of an object header

/// Suppresses HDF5's printing of its error stack to stderr for its lifetime.
class Quiet {
 public:
  Quiet() {
    H5Eget_auto2(H5E_DEFAULT, &function_, &data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    H5Eclear2(H5E_DEFAULT);
  }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;
  ~Quiet() { H5Eset_auto2(H5E_DEFAULT, function_, data_); }

 private:
  H5E_auto2_t function_ = nullptr;
  void* data_ = nullptr;
};

/// An HDF5 identifier with its closing function.
class Handle {
 public:
  Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle& operator=(Handle&&) = delete;
  ~Handle() { reset(); }
  herr_t reset() { return id_ >= 0 ? close_(std::exchange(id_, -1)) : 0; }
  hid_t get() const { return id_; }
  bool ok() const { return id_ >= 0; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

/// The innermost entry of HDF5's error stack; for a system call, the system's reason in it.
std::string reason() {
  std::string text;
  const auto first = [](unsigned n, const H5E_error2_t* entry, void* out) -> herr_t {
    if (n == 0 && entry->desc != nullptr) {
      *static_cast<std::string*>(out) = entry->desc;
    }
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, first, &text);
  const std::string mark = "error message = '";
  if (const std::size_t at = text.find(mark); at != std::string::npos) {
    text = text.substr(at + mark.size(), text.find('\'', at + mark.size()) - at - mark.size());
  }
  return text.empty() ? "unknown HDF5 error" : text;
}

[[noreturn]] void fail(const std::string& act, const std::filesystem::path& file) {
  std::string why = reason();
  if (why == "No space left on device" || why == "Disk quota exceeded") {
    why += "; free some space on that file system, or choose a folder on another one";
  }
  throw Error(ExitCode::model, "cannot " + act + " " + file.string() + ": " + why);
}

/// V110: readable by HDF5 1.10 and later. No locks: many cluster file systems do not support them, and a checkpoint has one
/// writer.
hid_t access_properties() {
  const hid_t properties = H5Pcreate(H5P_FILE_ACCESS);
  H5Pset_libver_bounds(properties, H5F_LIBVER_V110, H5F_LIBVER_V110);
  H5Pset_file_locking(properties, false, true);
  H5Pset_fclose_degree(properties, H5F_CLOSE_STRONG);
  return properties;
}

/// Abandons a file that cannot be written to disk. HDF5 keeps unwritten data in memory and retries (and fails) at every close and
/// at exit, so its descriptor is redirected to memory.
void abandon(hid_t file) {
  void* descriptor = nullptr;
  const int sink = ::memfd_create("abandoned", MFD_CLOEXEC);
  if (sink >= 0 && H5Fget_vfd_handle(file, H5P_DEFAULT, &descriptor) >= 0 && descriptor != nullptr) {
    ::dup2(sink, *static_cast<int*>(descriptor));
  }
  if (sink >= 0) {
    ::close(sink);
  }
  H5Fclose(file);
}

hid_t type_in_file(bool floats) { return floats ? H5T_IEEE_F32LE : H5T_STD_U8LE; }
hid_t type_in_memory(bool floats) { return floats ? H5T_NATIVE_FLOAT : H5T_NATIVE_UINT8; }
std::size_t size_of_element(bool floats) { return floats ? sizeof(float) : 1; }

void write_dataset(std::int64_t handle, const std::filesystem::path& file, const std::string& name, bool floats,
                   const void* values, std::size_t elements) {
  require(handle >= 0, "Hdf5Writer: written after close()");
  require(!name.empty() && name.find('/') == std::string::npos, "Hdf5Writer: datasets are flat, without / in the name");
  const Quiet quiet;
  const hsize_t count = elements;
  const Handle space(H5Screate_simple(1, &count, nullptr), H5Sclose);
  const Handle layout(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_obj_track_times(layout.get(), false);  // else the file's bytes depend on the second in which it is written
  if (count > 0) {                              // a chunk must not be larger than the dataset, so an empty dataset has none
    const hsize_t chunk = std::min<hsize_t>(count, kChunkBytes / size_of_element(floats));
    H5Pset_chunk(layout.get(), 1, &chunk);
    H5Pset_fletcher32(layout.get());
  }
  Handle dataset(H5Dcreate2(handle, name.c_str(), type_in_file(floats), space.get(), H5P_DEFAULT, layout.get(), H5P_DEFAULT),
                 H5Dclose);
  const std::string act = "write the dataset " + name + " of";
  if (!dataset.ok() ||
      (count > 0 && H5Dwrite(dataset.get(), type_in_memory(floats), H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)) {
    fail(act, file);
  }
  if (dataset.reset() < 0 || H5Fflush(handle, H5F_SCOPE_LOCAL) < 0) {
    fail(act, file);
  }
}

}  // namespace

Hdf5Writer::Hdf5Writer(const std::filesystem::path& file) : file_(file) {
  const Quiet quiet;
  const Handle access(access_properties(), H5Pclose);
  handle_ = H5Fcreate(file.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get());
  if (handle_ < 0) {
    fail("create", file);
  }
}

Hdf5Writer::~Hdf5Writer() {
  if (handle_ >= 0) {  // not closed because of an exception: the file will not be read
    const Quiet quiet;
    abandon(handle_);
  }
}

void Hdf5Writer::write(const std::string& name, std::span<const float> values) {
  heartbeat();
  write_dataset(handle_, file_, name, true, values.data(), values.size());
}
void Hdf5Writer::write(const std::string& name, std::span<const std::byte> bytes) {
  heartbeat();
  write_dataset(handle_, file_, name, false, bytes.data(), bytes.size());
}

void Hdf5Writer::attribute(const std::string& name, const std::string& text) {
  require(handle_ >= 0, "Hdf5Writer: written after close()");
  require(text.size() <= kMaxAttributeBytes, "Hdf5Writer: an attribute holds at most 60,000 bytes");
  const Quiet quiet;
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  const Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.get(), text.size() + 1);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  const Handle made(H5Acreate2(handle_, name.c_str(), type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  if (!made.ok() || H5Awrite(made.get(), type.get(), text.c_str()) < 0) {
    fail("write the attribute " + name + " of", file_);
  }
}

void Hdf5Writer::close() {
  require(handle_ >= 0, "Hdf5Writer: closed twice");
  const Quiet quiet;
  // Flushed before it is closed: a file whose close failed cannot be abandoned any more.
  if (H5Fflush(handle_, H5F_SCOPE_LOCAL) < 0) {
    fail("write", file_);
  }
  if (H5Fclose(std::exchange(handle_, -1)) < 0) {
    fail("close", file_);
  }
  sync_to_disk(file_, ExitCode::model);
}

Hdf5Reader::Hdf5Reader(const std::filesystem::path& file) : file_(file) {
  const InputFile readable(file, ExitCode::model);  // gives the system's reason, which is clearer than HDF5's
  const Quiet quiet;
  const Handle access(access_properties(), H5Pclose);
  handle_ = H5Fopen(file.c_str(), H5F_ACC_RDONLY, access.get());
  if (handle_ < 0) {
    fail("open the HDF5 file", file);
  }
}

Hdf5Reader::~Hdf5Reader() {
  const Quiet quiet;
  opened_.reset();
  H5Fclose(handle_);
}

struct Hdf5Reader::Opened {
  std::string name;
  bool floats = true;
  Handle id;
  hsize_t count = 0;
};

/// An open dataset whose format is checked: flat, of 32-bit floats or bytes, in chunks of limited size.
const Hdf5Reader::Opened& Hdf5Reader::open(const std::string& name, bool floats) const {
  if (opened_ && opened_->name == name && opened_->floats == floats) {
    return *opened_;
  }
  opened_.reset();
  const Handle access(H5Pcreate(H5P_DATASET_ACCESS), H5Pclose);
  H5Pset_chunk_cache(access.get(), H5D_CHUNK_CACHE_NSLOTS_DEFAULT, kCachedChunkBytes, H5D_CHUNK_CACHE_W0_DEFAULT);
  auto dataset = std::make_unique<Opened>(Opened{name, floats, Handle(H5Dopen2(handle_, name.c_str(), access.get()), H5Dclose)});
  if (!dataset->id.ok()) {
    fail("find the dataset " + name + " in", file_);
  }
  const Handle space(H5Dget_space(dataset->id.get()), H5Sclose);
  const Handle stored(H5Dget_type(dataset->id.get()), H5Tclose);
  const Handle layout(H5Dget_create_plist(dataset->id.get()), H5Pclose);
  hsize_t chunk = 0;
  const bool flat =
      H5Sget_simple_extent_ndims(space.get()) == 1 && H5Sget_simple_extent_dims(space.get(), &dataset->count, nullptr) == 1;
  const bool typed = H5Tequal(stored.get(), type_in_file(floats)) > 0;
  const bool chunked =
      H5Pget_layout(layout.get()) == H5D_CHUNKED && H5Pget_chunk(layout.get(), 1, &chunk) == 1 && chunk <= kMaxChunkElements;
  if (!flat || !typed || dataset->count > static_cast<hsize_t>(INT64_MAX) || (!chunked && dataset->count > 0)) {
    throw Error(ExitCode::model,
                "the dataset " + name + " in " + file_.string() + " is not one that this program wrote (shape, type or layout)");
  }
  opened_ = std::move(dataset);
  return *opened_;
}

void Hdf5Reader::read_elements(const std::string& name, bool floats, std::int64_t from, std::size_t count, void* out) const {
  heartbeat();
  const Quiet quiet;
  const Opened& dataset = open(name, floats);
  if (from < 0 || static_cast<hsize_t>(from) > dataset.count || count > dataset.count - static_cast<hsize_t>(from)) {
    throw Error(ExitCode::model, "the dataset " + name + " in " + file_.string() + " has " + std::to_string(dataset.count) +
                                     " elements; " + std::to_string(count) + " from element " + std::to_string(from) +
                                     " were asked for");
  }
  if (count == 0) {
    return;
  }
  const hsize_t start = static_cast<hsize_t>(from);
  const hsize_t elements = count;
  const Handle file_space(H5Dget_space(dataset.id.get()), H5Sclose);
  const Handle memory_space(H5Screate_simple(1, &elements, nullptr), H5Sclose);
  H5Sselect_hyperslab(file_space.get(), H5S_SELECT_SET, &start, nullptr, &elements, nullptr);
  if (H5Dread(dataset.id.get(), type_in_memory(floats), memory_space.get(), file_space.get(), H5P_DEFAULT, out) < 0) {
    fail("read the dataset " + name + " of", file_);  // HDF5's reason names a wrong Fletcher-32 checksum
  }
}

void Hdf5Reader::read(const std::string& name, std::int64_t from, std::span<float> out) const {
  read_elements(name, true, from, out.size(), out.data());
}
void Hdf5Reader::read(const std::string& name, std::int64_t from, std::span<std::byte> out) const {
  read_elements(name, false, from, out.size(), out.data());
}

std::int64_t Hdf5Reader::bytes_of(const std::string& name) const {
  const Quiet quiet;
  return static_cast<std::int64_t>(open(name, false).count);
}

std::string Hdf5Reader::attribute(const std::string& name) const {
  const Quiet quiet;
  const Handle found(H5Aopen(handle_, name.c_str(), H5P_DEFAULT), H5Aclose);
  if (!found.ok()) {
    fail("find the attribute " + name + " of", file_);
  }
  const Handle type(H5Aget_type(found.get()), H5Tclose);
  const Handle space(H5Aget_space(found.get()), H5Sclose);
  const std::size_t size = H5Tget_size(type.get());
  const bool text_like = H5Tget_class(type.get()) == H5T_STRING && H5Tis_variable_str(type.get()) == 0;
  if (!text_like || H5Sget_simple_extent_npoints(space.get()) != 1 || size == 0 || size > kMaxAttributeBytes + 1) {
    throw Error(ExitCode::model, "the attribute " + name + " of " + file_.string() + " is not a short text");
  }
  std::string text(size, '\0');
  if (H5Aread(found.get(), type.get(), text.data()) < 0) {
    fail("read the attribute " + name + " of", file_);
  }
  return text.substr(0, text.find('\0'));
}

}  // namespace lora_dist
