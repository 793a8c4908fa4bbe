#include "common/net/tls_files.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <cerrno>
#include <cstring>

#include "common/net/certificate.h"

namespace lockstep {
namespace {

absl::StatusOr<BioPtr> OpenFile(const char* flag, const std::string& path) {
  ERR_clear_error();
  BioPtr file(BIO_new_file(path.c_str(), "r"));
  if (file != nullptr) return file;
  return absl::InvalidArgumentError(
      absl::StrCat(flag, " ", path, ": cannot be read: ", std::strerror(errno)));
}

absl::StatusOr<X509Ptr> ReadCertificate(const char* flag, const std::string& path) {
  ASSIGN_OR_RETURN(const BioPtr file, OpenFile(flag, path));
  X509Ptr certificate(PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr));
  if (certificate != nullptr) return certificate;
  return absl::InvalidArgumentError(absl::StrCat(
      flag, " ", path,
      ": expected a certificate in PEM (-----BEGIN CERTIFICATE-----), but none is there: ", OpenSslErrors()));
}

absl::StatusOr<KeyPtr> ReadKey(const char* flag, const std::string& path) {
  ASSIGN_OR_RETURN(const BioPtr file, OpenFile(flag, path));
  // A key that is encrypted would ask at a terminal: daemons have none.
  KeyPtr key(PEM_read_bio_PrivateKey(
      file.get(), nullptr, [](char*, int, int, void*) { return 0; }, nullptr));
  if (key != nullptr) return key;
  return absl::InvalidArgumentError(absl::StrCat(
      flag, " ", path, ": expected a private key in PEM without a pass phrase: ", OpenSslErrors()));
}

}  // namespace

absl::Status CheckTlsFiles(const TlsFiles& files, const TlsFlags& flags, absl::Time now) {
  if (files.cert.empty() != files.key.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(files.cert.empty() ? flags.key : flags.cert, " is given without ",
                     files.cert.empty() ? flags.cert : flags.key, "; a certificate and its key go together"));
  }
  if (!files.ca.empty()) RETURN_IF_ERROR(ReadCertificate(flags.ca, files.ca).status());
  if (files.cert.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const X509Ptr certificate, ReadCertificate(flags.cert, files.cert));
  ASSIGN_OR_RETURN(const KeyPtr key, ReadKey(flags.key, files.key));
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError(
        absl::StrCat(flags.key, " ", files.key, " is not the key of ", flags.cert, " ", files.cert, " (",
                     SubjectOf(certificate.get()), "); was only one of them replaced?"));
  }
  if (const std::string problem = ValidityProblem(certificate.get(), now); !problem.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(flags.cert, " ", files.cert, ": the certificate of ", SubjectOf(certificate.get()), " ",
                     problem, "; have it issued anew by ", IssuerOf(certificate.get())));
  }
  return absl::OkStatus();
}

}  // namespace lockstep
