// HDF5 files: writing, partial reads, and rejection of damage.
#include "src/io/hdf5_file.h"

#include <gmock/gmock.h>
#include <hdf5.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "tests/support/scratch.h"

namespace lora_dist::hdf5_file_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::int64_t kMany = 200'000;  // four chunks, the last one partly filled

std::vector<float> many_floats() {
  std::vector<float> values(kMany);
  std::iota(values.begin(), values.end(), 0.0F);
  return values;
}

void write_sample(const std::filesystem::path& file) {
  Hdf5Writer writer(file);
  writer.write("floats", many_floats());
  writer.write("few", std::vector<float>{1, -2, 3});
  writer.write("nothing", std::span<const float>());
  writer.attribute("note", "ünïcode");
  writer.attribute("empty", "");
  writer.close();
}

std::vector<float> few_of(const std::filesystem::path& file) {
  std::vector<float> few(3);
  Hdf5Reader(file).read("few", 0, few);
  return few;
}

/// A file with one dataset of another type, as another program might write it.
void write_bytes(const std::filesystem::path& path) {
  const std::vector<std::uint8_t> values = {0, 127, 255};
  const hsize_t count = values.size();
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const hid_t space = H5Screate_simple(1, &count, nullptr);
  const hid_t dataset = H5Dcreate2(file, "codes", H5T_STD_U8LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  EXPECT_GE(H5Dwrite(dataset, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), 0);
  H5Dclose(dataset);
  H5Sclose(space);
  H5Fclose(file);
}

TEST(Hdf5File, RoundTripByHyperslab) {
  const Scratch scratch;
  write_sample(scratch / "f.h5");
  const Hdf5Reader reader(scratch / "f.h5");
  std::vector<float> floats(70'000);
  reader.read("floats", 60'000, floats);
  EXPECT_EQ(floats.front(), 60'000);
  EXPECT_EQ(floats.back(), 129'999);
  EXPECT_THAT(few_of(scratch / "f.h5"), ElementsAre(1, -2, 3));
  reader.read("nothing", 0, std::span<float>());
  EXPECT_EQ(reader.attribute("note"), "ünïcode");
  EXPECT_EQ(reader.attribute("empty"), "");
}

TEST(Hdf5File, KeepsEveryBit) {
  const std::vector<float> odd = {-0.0F, std::numeric_limits<float>::denorm_min(), std::numeric_limits<float>::infinity(),
                                  std::nanf("7")};
  const Scratch scratch;
  Hdf5Writer writer(scratch / "f.h5");
  writer.write("x", odd);
  writer.close();
  std::vector<float> back(odd.size());
  Hdf5Reader(scratch / "f.h5").read("x", 0, back);
  EXPECT_EQ(std::memcmp(odd.data(), back.data(), odd.size() * sizeof(float)), 0);
}

TEST(Hdf5File, IsChunkedAndChecksummed) {
  const Scratch scratch;
  write_sample(scratch / "f.h5");
  const hid_t file = H5Fopen((scratch / "f.h5").c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  const hid_t dataset = H5Dopen2(file, "floats", H5P_DEFAULT);
  const hid_t layout = H5Dget_create_plist(dataset);
  unsigned int flags = 0;
  std::size_t values = 0;
  EXPECT_EQ(H5Pget_layout(layout), H5D_CHUNKED);
  EXPECT_EQ(H5Pget_nfilters(layout), 1);
  EXPECT_EQ(H5Pget_filter2(layout, 0, &flags, &values, nullptr, 0, nullptr, nullptr), H5Z_FILTER_FLETCHER32);
  H5Pclose(layout);
  H5Dclose(dataset);
  H5Fclose(file);
}

TEST(Hdf5File, AChecksumMismatchIsNamed) {
  const Scratch scratch;
  write_sample(scratch / "f.h5");
  std::string content = get_file(scratch / "f.h5");
  const float marker = 100'000;  // somewhere in the second chunk
  const std::size_t at = content.find(std::string(reinterpret_cast<const char*>(&marker), sizeof marker));
  ASSERT_NE(at, std::string::npos);
  content[at] ^= 1;
  put_file(scratch / "f.h5", content);
  std::vector<float> floats(kMany);
  testing::internal::CaptureStderr();
  const Thrown error = thrown_by([&] { Hdf5Reader(scratch / "f.h5").read("floats", 0, floats); });
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");  // HDF5 would print its own stack
  EXPECT_EQ(error.code, ExitCode::model);
  EXPECT_EQ(error.message,
            "cannot read the dataset floats of " + (scratch / "f.h5").string() + ": data error detected by Fletcher32 checksum");
}

TEST(Hdf5File, RefusesWhatItDidNotWrite) {
  const Scratch scratch;
  write_sample(scratch / "f.h5");
  const Hdf5Reader reader(scratch / "f.h5");
  std::vector<float> floats(2);
  EXPECT_THAT(thrown_by([&] { reader.read("floats", kMany - 1, floats); }).message,
              HasSubstr("has 200000 elements; 2 from element 199999 were asked for"));
  EXPECT_THAT(thrown_by([&] { reader.read("floats", -1, floats); }).message, HasSubstr("were asked for"));
  write_bytes(scratch / "bytes.h5");
  EXPECT_THAT(thrown_by([&] { Hdf5Reader(scratch / "bytes.h5").read("codes", 0, floats); }).message,
              HasSubstr("is not one that this program wrote (shape, type or layout)"));
  EXPECT_THAT(thrown_by([&] { reader.read("none", 0, floats); }).message, HasSubstr("cannot find the dataset none in"));
  EXPECT_THAT(thrown_by([&] { reader.attribute("none"); }).message, HasSubstr("cannot find the attribute none of"));
  put_file(scratch / "text.h5", "not HDF5 at all");
  EXPECT_THAT(thrown_by([&] { Hdf5Reader(scratch / "text.h5"); }).message, HasSubstr("file signature not found"));
  EXPECT_THAT(thrown_by([&] { Hdf5Reader(scratch / "none.h5"); }).message, HasSubstr("No such file or directory"));
  EXPECT_THAT(thrown_by([&] { Hdf5Writer(scratch / "no/folder.h5"); }).message, HasSubstr("No such file or directory"));
}

TEST(Hdf5File, ATruncatedFileIsRefused) {
  const Scratch scratch;
  write_sample(scratch / "f.h5");
  std::filesystem::resize_file(scratch / "f.h5", std::filesystem::file_size(scratch / "f.h5") / 2);
  EXPECT_THAT(thrown_by([&] { Hdf5Reader(scratch / "f.h5"); }).message, HasSubstr("truncated file"));
}

TEST(Hdf5File, DoesNotCareAboutLocks) {
  const Scratch scratch;
  write_sample(scratch / "f.h5");
  const int holder = ::open((scratch / "f.h5").c_str(), O_RDWR);
  ASSERT_EQ(::flock(holder, LOCK_EX), 0);
  EXPECT_THAT(few_of(scratch / "f.h5"), ElementsAre(1, -2, 3));
  EXPECT_NO_THROW(write_sample(scratch / "f.h5"));
  ::close(holder);
}

TEST(Hdf5File, AFullDiskIsReportedAsSuchAndTheProgramContinues) {
  const Scratch scratch;
  const auto mount_point = scratch / "small";
  std::filesystem::create_directory(mount_point);
  if (::geteuid() != 0 || ::mount("none", mount_point.c_str(), "tmpfs", 0, "size=256k") != 0) {
    GTEST_SKIP() << "a small file system can only be mounted by root";
  }
  testing::internal::CaptureStderr();
  const Thrown error = thrown_by([&] {
    Hdf5Writer writer(mount_point / "f.h5");
    writer.write("floats", many_floats());
    writer.close();
  });
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(error.code, ExitCode::model);
  EXPECT_THAT(error.message, HasSubstr("No space left on device; free some space on that file system"));
  EXPECT_THAT(error.message, HasSubstr((mount_point / "f.h5").string()));
  EXPECT_EQ(::umount(mount_point.c_str()), 0);  // busy if the file were still open
  write_sample(scratch / "f.h5");
  EXPECT_THAT(few_of(scratch / "f.h5"), ElementsAre(1, -2, 3));
}

}  // namespace
}  // namespace lora_dist::hdf5_file_test
