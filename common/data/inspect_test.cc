// What InspectDataset says of good and of bad files: each kind of bad input has its own clear error.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/data/dataset.h"
#include "common/data/testing.h"

namespace lockstep {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Inspect : public ::testing::Test {
 protected:
  absl::StatusOr<v1::Dataset> Csv(const std::string& text, const std::string& label = "y") {
    return InspectDataset(CsvSpec(dir_.Write("d.csv", text), label));
  }

  void ExpectInvalid(const absl::Status& status, const std::vector<std::string>& parts) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    for (const std::string& part : parts) EXPECT_THAT(std::string(status.message()), HasSubstr(part));
  }

  TempDir dir_;
};

std::vector<std::string> Classes(const v1::Dataset& dataset) {
  return {dataset.classes().begin(), dataset.classes().end()};
}

// `good` rows of numbers and `bad` of text in column x, the first bad one at row `good` + 1.
std::string Mixed(int good, int bad) {
  std::string text = "x,y\n";
  for (int i = 0; i < good; ++i) text += absl::StrCat(i, ",", i % 2 ? "a" : "b", "\n");
  for (int i = 0; i < bad; ++i) text += absl::StrCat("oops", i, ",a\n");
  return text;
}

TEST_F(Inspect, DescribesColumnsWithStatistics) {
  const auto dataset = Csv("x,kind,y\n1,u,no\n2.5,v,yes\n,u,no\n-4,,yes\n");
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->format(), v1::DATASET_FORMAT_CSV);
  EXPECT_EQ(dataset->records(), 4);
  EXPECT_EQ(dataset->path(), dir_.path() + "/d.csv");
  EXPECT_EQ(dataset->fingerprint().size(), 32u);
  EXPECT_EQ(dataset->bytes(), 40);
  const v1::Column& x = dataset->columns(0);
  EXPECT_EQ(x.type(), v1::COLUMN_TYPE_NUMERIC);
  EXPECT_EQ(x.missing(), 1);
  EXPECT_EQ(x.minimum(), -4);
  EXPECT_EQ(x.maximum(), 2.5);
  EXPECT_NEAR(x.mean(), -0.5 / 3, 1e-12);
  EXPECT_EQ(dataset->columns(1).type(), v1::COLUMN_TYPE_CATEGORICAL);
  EXPECT_EQ(dataset->columns(1).distinct(), 2);
  EXPECT_EQ(dataset->columns(1).missing(), 1);
  EXPECT_THAT(Classes(*dataset), ElementsAre("no", "yes"));
}

TEST_F(Inspect, QuotedCellsMayHoldCommasQuotesAndLineEnds) {
  const auto dataset =
      Csv("\xEF\xBB\xBF\"na,me\",y\r\n\"a\nb\",\"say \"\"hi\"\"\"\r\n\"c,d\",\"\"\"\"\r\n\r\nplain , p \r\n");
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->columns(0).name(), "na,me");
  EXPECT_EQ(dataset->records(), 3);
  EXPECT_THAT(Classes(*dataset), ElementsAre("\"", "p", "say \"hi\""));
}

TEST_F(Inspect, LastLineNeedsNoLineEnd) {
  EXPECT_EQ(Csv("x,y\n1,a\n2,b")->records(), 2);
  EXPECT_EQ(Csv("x,y\n1,a\n2,\"b\"\r")->records(), 2);
  EXPECT_EQ(Csv("y,x\na,1\nb,")->columns(1).missing(), 1);
}

TEST_F(Inspect, MissingCellsAreRecognisedInEveryForm) {
  const auto dataset = Csv("x,y\nNA,a\nNaN,b\nnull,a\nnan,b\n,a\n\"\",b\n7,a\n");
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->columns(0).type(), v1::COLUMN_TYPE_NUMERIC);
  EXPECT_EQ(dataset->columns(0).missing(), 6);
}

TEST_F(Inspect, NumbersInManyFormsAreNumeric) {
  const auto dataset =
      Csv("x,y\n+1,a\n-2.5e-3,b\n .5,a\n1e308,b\n1e-400,a\n12345678901234567890,b\n\"3\",a\n");
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->columns(0).type(), v1::COLUMN_TYPE_NUMERIC);
  EXPECT_EQ(dataset->columns(0).maximum(), 1e308);
}

TEST_F(Inspect, FewNonNumbersInANumericColumnAreAnErrorWithTheWayOut) {
  ExpectInvalid(Csv(Mixed(95, 5)).status(), {"d.csv", "row 96 (line 97), column 'x'", "95 of 100 cells",
                                             "'oops0'", "dataset.columns: {x: categorical}"});
  ExpectInvalid(Csv("x,y\nbad,a\n" + Mixed(40, 0).substr(4)).status(),
                {"row 1 (line 2), column 'x'", "'bad'"});
}

TEST_F(Inspect, ManyNonNumbersMakeAColumnCategorical) {
  const auto dataset = Csv(Mixed(90, 10));
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->columns(0).type(), v1::COLUMN_TYPE_CATEGORICAL);
  EXPECT_EQ(dataset->columns(0).distinct(), 100);
}

TEST_F(Inspect, DeclaredTypesWin) {
  v1::DatasetSpec spec = CsvSpec(dir_.Write("d.csv", Mixed(99, 1)), "y");
  (*spec.mutable_columns())["x"] = v1::COLUMN_TYPE_CATEGORICAL;
  EXPECT_EQ(InspectDataset(spec)->columns(0).type(), v1::COLUMN_TYPE_CATEGORICAL);
  (*spec.mutable_columns())["x"] = v1::COLUMN_TYPE_NUMERIC;
  ExpectInvalid(InspectDataset(spec).status(),
                {"row 100 (line 101), column 'x'", "declared numeric", "'oops0'"});
  (*spec.mutable_columns())["x"] = v1::COLUMN_TYPE_IGNORE;
  ExpectInvalid(InspectDataset(spec).status(), {"no column is left"});
  spec.mutable_columns()->clear();
  (*spec.mutable_columns())["y"] = v1::COLUMN_TYPE_IGNORE;
  ExpectInvalid(InspectDataset(spec).status(), {"'y' is the label"});
  spec.mutable_columns()->clear();
  (*spec.mutable_columns())["xx"] = v1::COLUMN_TYPE_IGNORE;
  ExpectInvalid(InspectDataset(spec).status(), {"dataset.columns: no column 'xx'"});
}

TEST_F(Inspect, TaskFollowsTheLabel) {
  std::string few = "x,y\n", many = "x,y\n";
  for (int i = 0; i < 120; ++i) {
    few += absl::StrCat(i, ",", i % 50, "\n");
    many += absl::StrCat(i, ",", i % 51, "\n");
  }
  const auto classes = Csv(few);
  EXPECT_EQ(classes->task(), v1::TASK_CLASSIFICATION);
  EXPECT_EQ(classes->classes(2), "2") << "sorted as numbers, not as text";
  EXPECT_EQ(classes->classes(10), "10");
  EXPECT_EQ(Csv(many)->task(), v1::TASK_REGRESSION);
  EXPECT_EQ(Csv("x,y\n1,1\n2,2.5\n")->task(), v1::TASK_REGRESSION);
  EXPECT_EQ(Csv("x,y\n1,u\n2,v\n")->task(), v1::TASK_CLASSIFICATION);

  v1::DatasetSpec spec = CsvSpec(dir_.Write("d.csv", many), "y");
  spec.set_task(v1::TASK_CLASSIFICATION);
  EXPECT_EQ(InspectDataset(spec)->classes_size(), 51);
  spec = CsvSpec(dir_.Write("d.csv", few), "y");
  spec.set_task(v1::TASK_REGRESSION);
  EXPECT_EQ(InspectDataset(spec)->task(), v1::TASK_REGRESSION);
}

TEST_F(Inspect, NumericLabelDeclaredCategoricalIsSortedByValue) {
  v1::DatasetSpec spec = CsvSpec(dir_.Write("d.csv", "x,y\n1,10\n2,9\n3,0.5\n"), "y");
  (*spec.mutable_columns())["y"] = v1::COLUMN_TYPE_CATEGORICAL;
  const auto dataset = InspectDataset(spec);
  ASSERT_TRUE(dataset.ok());
  EXPECT_THAT(Classes(*dataset), ElementsAre("0.5", "9", "10"));
}

TEST_F(Inspect, ImpossibleTasksAreRefused) {
  v1::DatasetSpec spec = CsvSpec(dir_.Write("d.csv", "x,y\n1,u\n2,v\n"), "y");
  spec.set_task(v1::TASK_REGRESSION);
  ExpectInvalid(InspectDataset(spec).status(), {"label 'y'", "needs numbers", "'u'"});
  spec = CsvSpec(dir_.Write("d.csv", "x,y\n1,1\n2,2.5\n"), "y");
  spec.set_task(v1::TASK_CLASSIFICATION);
  ExpectInvalid(InspectDataset(spec).status(), {"row 2", "is 2.5", "integers or categories"});
  std::string many = "x,y\n", keys = "x,y\n";
  for (int i = 0; i < 1001; ++i) {
    many += absl::StrCat("1,", i, "\n");
    keys += absl::StrCat("1,k", i, "\n");
  }
  spec = CsvSpec(dir_.Write("d.csv", many), "y");
  spec.set_task(v1::TASK_CLASSIFICATION);
  ExpectInvalid(InspectDataset(spec).status(), {"1001 distinct values are too many classes"});
  ExpectInvalid(Csv(keys).status(), {"1001 distinct values are too many classes"});
  ExpectInvalid(Csv("x,y\n1,u\n2,u\n").status(), {"all rows have the same value"});
}

TEST_F(Inspect, MissingFileIsNotFound) {
  const absl::Status status = InspectDataset(CsvSpec(dir_.path() + "/none.csv", "y")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("none.csv: no such file"));
}

TEST_F(Inspect, UnreadableFileIsPermissionDenied) {
  const std::string path = dir_.Write("d.csv", "x,y\n1,a\n");
  ASSERT_EQ(::chmod(path.c_str(), 0), 0);
  ASSERT_EQ(::chmod(dir_.path().c_str(), 0755), 0);
  const bool root = ::geteuid() == 0;  // root may read anything: step down
  if (root) {
    ASSERT_EQ(::seteuid(65534), 0);
  }
  const absl::Status status = InspectDataset(CsvSpec(path, "y")).status();
  if (root) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("permission denied"));
}

TEST_F(Inspect, DirectoryFifoAndEmptyPathAreRefused) {
  ExpectInvalid(InspectDataset(CsvSpec(dir_.path(), "y")).status(), {"is a directory"});
  const std::string fifo = dir_.path() + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  ExpectInvalid(InspectDataset(CsvSpec(fifo, "y")).status(), {"not a regular file"});
  ExpectInvalid(InspectDataset(CsvSpec("", "y")).status(), {"dataset.path is empty"});
}

TEST_F(Inspect, EmptyFilesAreRefused) {
  ExpectInvalid(Csv("").status(), {"d.csv: is empty"});
  ExpectInvalid(Csv("\n\r\n\n").status(), {"holds no text"});
  ExpectInvalid(Csv("\xEF\xBB\xBF").status(), {"holds no text"});
  ExpectInvalid(InspectDataset(CsvSpec(dir_.Write("d.csv.gz", Gzip("")), "y")).status(),
                {"decompresses to nothing"});
}

TEST_F(Inspect, HeaderAloneIsRefused) {
  ExpectInvalid(Csv("x,y\n").status(), {"holds a header row and no data"});
  ExpectInvalid(Csv("x,y").status(), {"holds a header row and no data"});
}

TEST_F(Inspect, RaggedRowNamesRowAndCounts) {
  ExpectInvalid(Csv("x,y\n1,a\n2\n").status(), {"row 2 (line 3): expected 2 cells as in the header, got 1"});
  ExpectInvalid(Csv("x,y\n\n\"1\n\n\",a\n2,b,c\n").status(),
                {"row 2 (line 6): expected 2 cells as in the header, got 3"});
}

TEST_F(Inspect, LabelColumnAbsentNamesTheNearest) {
  ExpectInvalid(Csv("x,target\n1,a\n", "targte").status(),
                {"dataset.label: no column 'targte'", "the columns are x, target", "did you mean 'target'?"});
  ExpectInvalid(Csv("1,2\n1,3\n", "label").status(), {"is the header row missing?"});
  ExpectInvalid(Csv("alpha;beta\n1;3\n", "label").status(), {"separated by commas"});
  ExpectInvalid(Csv("x,y\n1,a\n", "").status(), {"dataset.label is not set", "x, y"});
}

TEST_F(Inspect, MissingLabelNamesTheRow) {
  ExpectInvalid(Csv("x,y\n1,a\n2,\n").status(), {"row 2 (line 3), column 'y': the label is missing"});
  ExpectInvalid(Csv("x,y\n1,1\n2,NaN\n").status(), {"row 2 (line 3), column 'y': the label is missing"});
}

TEST_F(Inspect, DuplicateColumnNamesAreRefused) {
  ExpectInvalid(Csv("x,y,x\n1,a,2\n").status(), {"columns 1 and 3 are both named 'x'"});
}

TEST_F(Inspect, BrokenQuotesNameTheRow) {
  ExpectInvalid(Csv("x,y\n1,a\n\"2,b\n3,a\n").status(), {"row 2 (line 3)", "never closed"});
  ExpectInvalid(Csv("x,y\n\"1\"2,a\n").status(), {"row 1 (line 2)", "text follows a closing quote"});
  ExpectInvalid(Csv("\"x,y\n").status(), {"header", "never closed"});
}

TEST_F(Inspect, TextThatIsNotUtf8IsRefused) {
  ExpectInvalid(Csv("x,y\n1,caf\xE9\n2,b\n").status(),
                {"row 1 (line 2), column 'y'", "not valid UTF-8", "iconv"});
  ExpectInvalid(Csv("caf\xE9,y\n1,a\n").status(), {"not valid UTF-8"});
  ExpectInvalid(Csv(std::string("x\0,y\n1,a\n", 9)).status(), {"not valid UTF-8"});
}

TEST_F(Inspect, KeyColumnIsRefusedBeforeItBecomesAMillionFeatures) {
  std::string text = "x,id,y\n";
  for (int i = 0; i < 10001; ++i) text += absl::StrCat("1,k", i, ",", i % 2, "\n");
  ExpectInvalid(Csv(text).status(), {"column 'id'", "10001 categories", "{id: ignore}"});
}

TEST_F(Inspect, GzipGivesTheSameContentAndAnotherFingerprint) {
  const std::string text = Mixed(100, 0);
  const auto plain = Csv(text);
  const auto zipped = InspectDataset(CsvSpec(dir_.Write("d.csv.gz", Gzip(text)), "y"));
  ASSERT_TRUE(zipped.ok()) << zipped.status();
  EXPECT_EQ(zipped->records(), plain->records());
  EXPECT_EQ(zipped->columns(0).mean(), plain->columns(0).mean());
  EXPECT_NE(zipped->fingerprint(), plain->fingerprint());
  const auto members = InspectDataset(CsvSpec(dir_.Write("e.csv.gz", Gzip(text) + Gzip("7,a\n")), "y"));
  EXPECT_EQ(members->records(), plain->records() + 1) << "a gzip file may have several members";
}

TEST_F(Inspect, GzipTruncatedAtAnyByteIsRefused) {
  const std::string zipped = Gzip(Mixed(50, 0));
  for (size_t size = 2; size < zipped.size(); ++size) {
    const auto dataset = InspectDataset(CsvSpec(dir_.Write("d.csv.gz", zipped.substr(0, size)), "y"));
    ASSERT_EQ(dataset.status().code(), absl::StatusCode::kInvalidArgument) << size << " " << dataset.status();
    ASSERT_THAT(std::string(dataset.status().message()), HasSubstr("the gzip stream is truncated")) << size;
  }
  std::string corrupt = zipped;
  corrupt[zipped.size() / 2] ^= 0x10;
  ExpectInvalid(InspectDataset(CsvSpec(dir_.Write("d.csv.gz", corrupt), "y")).status(),
                {"the gzip stream is"});
}

TEST_F(Inspect, CsvCutAtAnyByteNeverCrashes) {
  const std::string text = "\xEF\xBB\xBFx,\"k\"\"k\",y\r\n1,\"a\nb\",u\r\n,NA,v\r\n3.5e2,\"\",u\r\n";
  for (size_t size = 0; size <= text.size(); ++size) {
    const auto dataset = Csv(text.substr(0, size));
    if (!dataset.ok()) {
      EXPECT_EQ(dataset.status().code(), absl::StatusCode::kInvalidArgument) << dataset.status();
    }
  }
}

class InspectIdx : public Inspect {
 protected:
  absl::StatusOr<v1::Dataset> Idx(const std::string& pixels, const std::string& labels) {
    return InspectDataset(IdxSpec(dir_.Write("p.idx", pixels), dir_.Write("l.idx", labels)));
  }
  const std::string pixels_ =
      IdxHeader(0x08, {3, 2, 2}) + std::string("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\xff", 12);
  const std::string labels_ = IdxHeader(0x08, {3}) + std::string("\x07\x02\x07", 3);
};

TEST_F(InspectIdx, DescribesShapeAndClasses) {
  for (bool zip : {false, true}) {
    const auto dataset = zip ? Idx(Gzip(pixels_), Gzip(labels_)) : Idx(pixels_, labels_);
    ASSERT_TRUE(dataset.ok()) << dataset.status();
    EXPECT_EQ(dataset->format(), v1::DATASET_FORMAT_IDX);
    EXPECT_EQ(dataset->records(), 3);
    EXPECT_THAT(dataset->columns(0).shape(), ElementsAre(2, 2));
    EXPECT_EQ(dataset->columns(0).maximum(), 255);
    EXPECT_THAT(Classes(*dataset), ElementsAre("2", "7"));
    EXPECT_EQ(dataset->labels_path(), dir_.path() + "/l.idx");
  }
}

TEST_F(InspectIdx, EveryElementTypeIsRead) {
  const std::string labels = IdxHeader(0x08, {2}) + std::string("\0\1", 2);
  const std::pair<int, std::string> cases[] = {
      {0x09, std::string("\xff\x02", 2)},
      {0x0B, std::string("\xff\xff\x00\x02", 4)},
      {0x0C, std::string("\xff\xff\xff\xff\x00\x00\x00\x02", 8)},
      {0x0D, std::string("\xbf\x80\x00\x00\x40\x00\x00\x00", 8)},
      {0x0E, std::string("\xbf\xf0\0\0\0\0\0\0\x40\0\0\0\0\0\0\0", 16)}};
  for (const auto& [type, data] : cases) {
    const auto dataset = Idx(IdxHeader(type, {2}) + data, labels);
    ASSERT_TRUE(dataset.ok()) << type << dataset.status();
    EXPECT_EQ(dataset->columns(0).minimum(), -1) << type;
    EXPECT_EQ(dataset->columns(0).maximum(), 2) << type;
  }
}

TEST_F(InspectIdx, CutAtAnyByteIsRefused) {
  for (size_t size = 4; size < pixels_.size(); ++size) {
    ExpectInvalid(Idx(pixels_.substr(0, size), labels_).status(), {"p.idx", "truncated"});
  }
  for (size_t size = 4; size < labels_.size(); ++size) {
    ExpectInvalid(Idx(pixels_, labels_.substr(0, size)).status(), {"l.idx", "truncated"});
  }
}

TEST_F(InspectIdx, HostileHeadersAreRefused) {
  ExpectInvalid(Idx(IdxHeader(0x08, {0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}) + "x", labels_).status(),
                {"truncated"});
  ExpectInvalid(Idx(IdxHeader(0x0E, {0x7FFFFFFF, 0x7FFFFFFF, 4}) + "x", labels_).status(), {"truncated"});
  ExpectInvalid(Idx(IdxHeader(0x08, {3, 0, 2}), labels_).status(), {"dimension 1 of the IDX file is 0"});
  ExpectInvalid(Idx(IdxHeader(0x08, {0, 2}), labels_).status(), {"no records"});
  ExpectInvalid(Idx(pixels_ + "more", labels_).status(), {"4 bytes more"});
}

TEST_F(InspectIdx, WrongMagicIsRefused) {
  ExpectInvalid(Idx(IdxHeader(0x0A, {3}) + "abc", labels_).status(), {"not an IDX file", "00000a01"});
  ExpectInvalid(Idx(pixels_, "x,y\n").status(), {"l.idx", "not an IDX file"});
  v1::DatasetSpec spec = CsvSpec(dir_.Write("d.csv", "x,y\n1,2\n"), "");
  spec.set_labels(dir_.Write("l.idx", labels_));
  spec.set_format(v1::DATASET_FORMAT_IDX);
  ExpectInvalid(InspectDataset(spec).status(), {"d.csv", "not an IDX file"});
}

TEST_F(InspectIdx, CountsOfImagesAndLabelsMustMatch) {
  ExpectInvalid(Idx(pixels_, IdxHeader(0x08, {2}) + std::string("\0\1", 2)).status(),
                {"holds 2 labels", "holds 3 records"});
  ExpectInvalid(Idx(labels_, pixels_).status(), {"swapped?"});
}

TEST_F(InspectIdx, ValueThatIsNotFiniteNamesTheRow) {
  ExpectInvalid(Idx(IdxHeader(0x0D, {2}) + std::string("\0\0\0\0\x7f\xc0\0\0", 8), labels_).status(),
                {"row 2", "not finite"});
}

TEST_F(InspectIdx, FieldsOfTheOtherFormatAreRefused) {
  v1::DatasetSpec spec = IdxSpec(dir_.Write("p.idx", pixels_), "");
  ExpectInvalid(InspectDataset(spec).status(), {"dataset.labels must name"});
  spec = IdxSpec(dir_.Write("p.idx", pixels_), dir_.Write("l.idx", labels_));
  spec.set_label("y");
  ExpectInvalid(InspectDataset(spec).status(), {"remove dataset.label"});
  spec = CsvSpec(dir_.Write("d.csv", "x,y\n1,2\n"), "y");
  spec.set_labels(dir_.Write("l.idx", labels_));
  ExpectInvalid(InspectDataset(spec).status(), {"dataset.labels is for IDX files"});
}

}  // namespace
}  // namespace lockstep
