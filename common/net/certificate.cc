#include "common/net/certificate.h"

#include <arpa/inet.h>
#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace lockstep {
namespace {

std::string NameText(X509_NAME* name) {
  const BioPtr text(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(text.get(), name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
  char* data = nullptr;
  const long size = BIO_get_mem_data(text.get(), &data);
  return size > 0 ? std::string(data, static_cast<size_t>(size)) : "(no name)";
}

absl::Time TimeOf(const ASN1_TIME* time) {
  std::tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) return absl::InfinitePast();
  return absl::FromTM(parts, absl::UTCTimeZone());
}

std::string Day(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", time, absl::UTCTimeZone());
}

std::string AddressText(const ASN1_OCTET_STRING* bytes) {
  char text[INET6_ADDRSTRLEN] = {};
  const int family = ASN1_STRING_length(bytes) == 4 ? AF_INET : AF_INET6;
  const bool right = ASN1_STRING_length(bytes) == 4 || ASN1_STRING_length(bytes) == 16;
  if (!right || inet_ntop(family, ASN1_STRING_get0_data(bytes), text, sizeof text) == nullptr) return "?";
  return text;
}

}  // namespace

std::string SubjectOf(X509* certificate) { return NameText(X509_get_subject_name(certificate)); }
std::string IssuerOf(X509* certificate) { return NameText(X509_get_issuer_name(certificate)); }
absl::Time NotBefore(X509* certificate) { return TimeOf(X509_get0_notBefore(certificate)); }
absl::Time NotAfter(X509* certificate) { return TimeOf(X509_get0_notAfter(certificate)); }

std::string NamesOf(X509* certificate) {
  std::vector<std::string> names;
  auto* found =
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; found != nullptr && i < sk_GENERAL_NAME_num(found); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(found, i);
    if (name->type == GEN_DNS) {
      names.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                         static_cast<size_t>(ASN1_STRING_length(name->d.dNSName)));
    } else if (name->type == GEN_IPADD) {
      names.push_back(AddressText(name->d.iPAddress));
    }
  }
  GENERAL_NAMES_free(found);
  return names.empty() ? "no name" : absl::StrJoin(names, ", ");
}

bool IsFor(X509* certificate, const std::string& host) {
  if (X509_check_ip_asc(certificate, host.c_str(), 0) == 1) return true;
  return X509_check_host(certificate, host.data(), host.size(), X509_CHECK_FLAG_NEVER_CHECK_SUBJECT,
                         nullptr) == 1;
}

std::string ValidityProblem(X509* certificate, absl::Time now) {
  if (now > NotAfter(certificate)) return absl::StrCat("expired on ", Day(NotAfter(certificate)));
  if (now < NotBefore(certificate)) {
    return absl::StrCat("is valid only from ", Day(NotBefore(certificate)), " on, and now it is ", Day(now),
                        " (is this machine's clock right?)");
  }
  return "";
}

std::string OpenSslErrors() {
  std::vector<std::string> texts;
  while (const unsigned long code = ERR_get_error()) {
    const char* reason = ERR_reason_error_string(code);
    texts.push_back(reason != nullptr ? reason : absl::StrCat("error ", code));
  }
  return texts.empty() ? "no reason given" : absl::StrJoin(texts, "; ");
}

}  // namespace lockstep
