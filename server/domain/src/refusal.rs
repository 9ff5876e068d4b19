//! Every public "no", numbered.
//!
//! A refusal is an answer: part of the contract, safe to show, with a number that is never reused. (A fault, in
//! contrast, is our breakage and never leaves the log.) Numbers are grouped: 1 requests, 2 manifests, 3 catalog,
//! 4 enrollment, 5 lifecycle, 6 access, 7 MQTT, 8 changes.

use core::fmt;
use serde::{Deserialize, Serialize};

/// What a caller can do about a refusal; adapters map it to gRPC status codes and exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request itself is wrong: mend it.
    Invalid,
    /// Nobody known is asking.
    Unauthenticated,
    /// Known, but not allowed.
    Denied,
    /// The thing named is not there.
    Missing,
    /// The thing is there already.
    Exists,
    /// The request is right, the state is not.
    Precondition,
    /// Somebody else was faster: read again and repeat.
    Conflict,
    /// Too much at once: wait and repeat.
    Exhausted,
    /// Not now: wait and repeat.
    Unavailable,
}

macro_rules! codes {
    ($($number:literal $name:ident $kind:ident $reason:literal $help:literal)*) => {
        /// The number and name of a refusal.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "u16", into = "u16")]
        pub enum Code {
            $(#[doc = $help] $name = $number,)*
        }

        impl Code {
            /// All of them, in order of number.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The stable number.
            pub const fn number(self) -> u16 {
                match self { $(Self::$name => $number,)* }
            }

            /// The stable name, as in `google.rpc.ErrorInfo.reason`.
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$name => $reason,)* }
            }

            /// What the caller can do about it.
            pub const fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)* }
            }

            /// What to do, for a person.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$name => $help,)* }
            }
        }

        impl TryFrom<u16> for Code {
            type Error = UnknownCode;
            fn try_from(number: u16) -> Result<Self, UnknownCode> {
                match number { $($number => Ok(Self::$name),)* other => Err(UnknownCode(other)) }
            }
        }
    };
}

codes! {
    1001 RequestInvalid Invalid "REQUEST_INVALID" "The request lacks a field or has one that cannot be read; the field is named. Mend it and send again."
    1002 FilterInvalid Invalid "FILTER_INVALID" "The filter cannot be read; the place is marked. Example: model = \"GW-200\" AND state = ACTIVE."
    1003 PageTokenInvalid Invalid "PAGE_TOKEN_INVALID" "The page token is not one of ours, or belongs to another filter. Start again without it."
    1004 NotFound Missing "NOT_FOUND" "Nothing of that name is registered. List what there is, and check for a typing error."
    1005 EtagMismatch Conflict "ETAG_MISMATCH" "The resource changed since it was read. Read it again and repeat the change."
    1006 TooLarge Invalid "TOO_LARGE" "The message is over a size limit, which is named. Send it in smaller parts."
    1007 Busy Exhausted "BUSY" "The server has as much work as it can hold. Wait for the time given and send again."
    1008 Stopping Unavailable "STOPPING" "The server is shutting down. Send again; another instance or the next start will answer."

    2001 ManifestUnreadable Invalid "MANIFEST_UNREADABLE" "The file is not a manifest in a format we read, or is damaged. Send a table (CSV, TSV, XLSX, XLS, ODS), JSON (a list or an object a line), or XML with an element a device."
    2002 ManifestTooLarge Invalid "MANIFEST_TOO_LARGE" "The file is over a limit (size, rows, columns or cell), which is named. Split it."
    2003 HeaderMissing Invalid "HEADER_MISSING" "No column holds the serial, or none the model. Name the columns in the first row, or give the model for the whole file."
    2004 HeaderAmbiguous Invalid "HEADER_AMBIGUOUS" "Two columns mean the same field. Rename or remove one."
    2005 SheetUnknown Invalid "SHEET_UNKNOWN" "The workbook has no such sheet, or no sheet with a header. Name one of those it has."
    2006 MappingUnusable Invalid "MAPPING_UNUSABLE" "The mapping needs a column that the file does not have, or gives no serial or model. Choose another mapping, or let one be proposed."
    2007 PlanMoved Conflict "PLAN_MOVED" "The file, the options or the registry differ from what was planned, so nothing was applied. Plan again and look at what changed."
    2008 BatchState Precondition "BATCH_STATE" "The batch is in a state that does not allow this; the state is named."
    2009 UploadOffset Conflict "UPLOAD_OFFSET" "The upload does not go on where it ended. Continue at the offset that is named."
    2010 UploadMismatch Invalid "UPLOAD_MISMATCH" "Size or SHA-256 of the file are not what was announced. Send the file again from its beginning."
    2011 RequestIdReused Invalid "REQUEST_ID_REUSED" "The request id was used for another request. Choose a new one."
    2012 UndoBlocked Precondition "UNDO_BLOCKED" "The batch cannot be taken back as one unit; what blocks it is listed. Change those devices singly."
    2013 RecipientInvalid Invalid "RECIPIENT_INVALID" "Keys made by the server need an age recipient (age1...) to be encrypted to; make one with age-keygen at the station."
    2101 SerialMissing Invalid "SERIAL_MISSING" "The row has no serial. Every device needs one."
    2102 SerialMalformed Invalid "SERIAL_MALFORMED" "Serials are letters, digits and . _ + / - without blanks, at most 64, starting with a letter or digit."
    2103 SerialRule Invalid "SERIAL_RULE" "The serial does not follow the rule of its model. Check the model, or the serial against the label."
    2104 SerialDamaged Invalid "SERIAL_DAMAGED" "A spreadsheet turned the serial into a number. Format the column as text and export again."
    2105 SerialRepeated Invalid "SERIAL_REPEATED" "The serial stands in an earlier row of this file, which is named. Keep the right one."
    2106 SerialTaken Invalid "SERIAL_TAKEN" "The serial is registered for a device of another model. Check both labels."
    2107 SerialCheckDigit Invalid "SERIAL_CHECK_DIGIT" "The check digit of the serial is wrong: a character was misread or mistyped. Compare with the label."
    2111 MacMalformed Invalid "MAC_MALFORMED" "The hardware address cannot be read. Write 12 (EUI-48) or 16 (EUI-64) hexadecimal digits."
    2112 MacMulticast Invalid "MAC_MULTICAST" "The hardware address names a group of devices, not one. Check its first octet; if the column holds no addresses, map it to a label."
    2113 MacVendor Invalid "MAC_VENDOR" "The hardware address is outside the blocks of its model. Check the model or the address."
    2114 MacRepeated Invalid "MAC_REPEATED" "The hardware address stands in an earlier row of this file, which is named. Keep the right one."
    2115 MacTaken Invalid "MAC_TAKEN" "The hardware address belongs to another registered device, which is named."
    2116 MacLocal Invalid "MAC_LOCAL" "The hardware address is locally administered: no manufacturer was assigned it. Check it, or allow such addresses in the model."
    2117 MacDamaged Invalid "MAC_DAMAGED" "A spreadsheet turned the hardware address into a number or a time. Format the column as text and export again."
    2121 ModelMissing Invalid "MODEL_MISSING" "The row names no model. Fill the column, or give the model for the whole file."
    2122 ModelUnknown Invalid "MODEL_UNKNOWN" "No such model is registered. Create it with `muster model apply`, or correct the name."
    2131 SiteUnknown Invalid "SITE_UNKNOWN" "No such site is registered. Create it with `muster site apply`, or correct the code."
    2141 VersionMalformed Invalid "VERSION_MALFORMED" "Firmware versions are semantic versions of three numbers, such as 2.4.0."
    2151 VariableInvalid Invalid "VARIABLE_INVALID" "A value that the profile needs is missing, of the wrong type, or not what its parameter allows; the parameter and its rule are named. Correct the value, or give the parameter a default."
    2152 RenderFailed Invalid "RENDER_FAILED" "The profile cannot be rendered with these values, or a file that it renders is not the JSON, YAML, TOML or INI that its name promises; file, line and reason are said. Try it with `muster profile render`."
    2161 FormulaCell Invalid "FORMULA_CELL" "The cell starts like a spreadsheet formula. Write the plain value."
    2162 CellMalformed Invalid "CELL_MALFORMED" "A cell is over its limit or holds a control character. Clean it."
    2163 RowWidth Invalid "ROW_WIDTH" "The row has more cells than the header. Look for an unquoted delimiter."
    2164 CellDamaged Invalid "CELL_DAMAGED" "A spreadsheet changed the value: a number, a date or an error stands where text should. Format the column as text and enter it again."
    2165 ValueMissing Invalid "VALUE_MISSING" "A value that the mapping or a naming rule demands is missing. Fill the cell."
    2166 ValueUnmapped Invalid "VALUE_UNMAPPED" "The mapping cannot transform the value: its pattern does not match, or its table has no such entry. Correct the value or the mapping."
    2167 NamingRule Invalid "NAMING_RULE" "The value does not follow a naming rule of the organisation, which is named."
    2171 RowFrozen Invalid "ROW_FROZEN" "The device exists and this value can no longer change (its model; its address once claimed; a key that is pinned; anything once retired)."
    2172 DeviceExists Invalid "DEVICE_EXISTS" "The serial is registered, and this import may only create devices."
    2173 DeviceMissing Invalid "DEVICE_MISSING" "The serial is not registered, and this import may only update devices."
    2174 RowMoved Conflict "ROW_MOVED" "The device changed since the plan was made, so this row was left alone. Plan again."
    2175 EtagStale Conflict "ETAG_STALE" "The device changed since the file was made: its etag is another. Export again and repeat the change."
    2181 EntrySignature Invalid "ENTRY_SIGNATURE" "The entry of the secure-element manifest is not signed by one of the given signers. Get the manifest and its log signer certificate from the maker again."
    2182 CredentialMissing Invalid "CREDENTIAL_MISSING" "The row has no certificate request, public key or certificate, which this import needs."
    2183 CredentialMalformed Invalid "CREDENTIAL_MALFORMED" "The certificate request, public key or certificate of the row cannot be used; why is said."
    2184 CredentialRepeated Invalid "CREDENTIAL_REPEATED" "The key stands in an earlier row of this file, or another device holds it. Every device needs a key of its own."
    2185 KeyDigestMalformed Invalid "KEY_DIGEST_MALFORMED" "The SHA-256 of a device's key cannot be read. Write 64 hexadecimal digits, or base64 of 44 characters: the digest of its SubjectPublicKeyInfo in DER, as `openssl pkey -pubin -outform DER | sha256sum` gives it."
    2186 ClaimWindowInvalid Invalid "CLAIM_WINDOW_INVALID" "No claim could begin in this window: a time cannot be read, it ends before it opens, or it is over. Write RFC 3339 or a day, such as 2027-01-31, which begins at midnight UTC."
    2187 ClaimForeign Invalid "CLAIM_FOREIGN" "A claim window, or a key that is known in advance, is for devices that claim with an activation code; this import gives them another credential. Leave the cells empty, or import with codes."

    3001 ModelInvalid Invalid "MODEL_INVALID" "The model cannot be accepted; the field is named."
    3002 SiteInvalid Invalid "SITE_INVALID" "The site cannot be accepted; the field is named."
    3003 ProfileInvalid Invalid "PROFILE_INVALID" "The profile cannot be accepted; the field or template line is named."
    3004 PolicyInvalid Invalid "POLICY_INVALID" "The firmware policy cannot be accepted; the rule is named."
    3005 ReferenceMissing Precondition "REFERENCE_MISSING" "The resource refers to another that is not registered. Apply that one first, or both together."
    3006 MappingInvalid Invalid "MAPPING_INVALID" "The mapping cannot be accepted; the field or rule is named."
    3007 NamingRuleInvalid Invalid "NAMING_RULE_INVALID" "The naming rule cannot be accepted; the field is named."
    3008 SecretInvalid Invalid "SECRET_INVALID" "The secret cannot be accepted; the field is named. A value is text of 1 to 4096 bytes."
    3009 SecretPinned Precondition "SECRET_PINNED" "Profiles or devices have that revision of the secret; how many is said. Give them another with `muster secret put`, `muster profile apply` and a change, or use --force."
    3021 GroupInvalid Invalid "GROUP_INVALID" "The group cannot be accepted; the field, or the place in its filter, is named."
    3022 GroupRuled Precondition "GROUP_RULED" "The group has a filter: devices join and leave it by what they are. Change its filter, or the devices."

    4001 ClaimRefused Denied "CLAIM_REFUSED" "Serial and activation code do not open a claim: one of them is wrong, or the code is used up. Check the label; an operator can issue a new code."
    4002 CsrMalformed Invalid "CSR_MALFORMED" "The certificate request is not well-formed DER of PKCS#10 (RFC 2986), or over 4 KiB."
    4003 CsrKey Invalid "CSR_KEY" "Only keys on the curve prime256v1, as uncompressed points, are certified."
    4004 CsrSignature Invalid "CSR_SIGNATURE" "The request is not signed by the key it carries with ECDSA and SHA-256."
    4005 CsrAttribute Invalid "CSR_ATTRIBUTE" "The request carries attributes we do not accept; names and extensions come from the registry."
    4006 KeyInUse Precondition "KEY_IN_USE" "Another device holds this key. Make a new key on the device."
    4007 ClaimThrottled Exhausted "CLAIM_THROTTLED" "Too many claims from here, or claims or renewals of this device. Wait for the time given and send again."
    4008 ClockBehind Unavailable "CLOCK_BEHIND" "The server's clock went back, so it issues nothing. Set the clock; operators were told."
    4021 KeyBlocked Precondition "KEY_BLOCKED" "A certificate over this key was revoked for its compromise, so the key is never certified again. Make a new key on the device."
    4022 RevocationFinal Precondition "REVOCATION_FINAL" "The certificate is revoked for another reason, which is named. Only key-compromise can take its place."

    5001 TransitionForbidden Precondition "TRANSITION_FORBIDDEN" "The device's state does not allow this; the state is named."
    5002 GenerationUnknown Invalid "GENERATION_UNKNOWN" "The device reports a generation that was never issued to it."
    5021 GroupsFull Precondition "GROUPS_FULL" "The device is in as many static groups as it may be. Remove it from one of them, or make one of them a group with a filter."

    6001 NotAuthenticated Unauthenticated "NOT_AUTHENTICATED" "The call needs an operator certificate. Choose a context with one."
    6002 NotPermitted Denied "NOT_PERMITTED" "Your role does not allow this call; the roles that do are named."
    6003 OperatorDisabled Denied "OPERATOR_DISABLED" "This operator certificate is not, or no longer, registered. Ask an admin."
    6004 OperatorExists Exists "OPERATOR_EXISTS" "An operator of that name exists. Choose another name; names are not reused."
    6005 LastAdmin Precondition "LAST_ADMIN" "This is the last admin. Create another before disabling this one."

    7001 TopicForbidden Denied "TOPIC_FORBIDDEN" "A device may use its own topics only, each in its one direction. An operator may subscribe the feeds of their role, and publishes nothing."
    7002 ClientIdForeign Denied "CLIENT_ID_FOREIGN" "The MQTT client id must be empty or the device id of the certificate; of an operator, their name, alone or with a / and more behind it."
    7003 PayloadMalformed Invalid "PAYLOAD_MALFORMED" "The payload is not the message this topic carries."
    7004 DeviceBarred Denied "DEVICE_BARRED" "The certificate is not current, or the device is suspended or retired."
    7005 CertificateEnded Denied "CERTIFICATE_ENDED" "The certificate has ended. Renew it; until then nothing else is heard."
    7006 SubscriberSlow Exhausted "SUBSCRIBER_SLOW" "More waited for this subscriber than may. Connect again, read faster or subscribe less; entries of the audit log that were missed are in Audit/ListEntries, and what devices said last is on their records."
    7007 SubscriberCrowd Exhausted "SUBSCRIBER_CROWD" "There are as many subscriptions, or connections of this operator or of all, as may be. End one of them first."

    8001 ChangeState Precondition "CHANGE_STATE" "The change is in a state that does not allow this; the state is named. `muster change explain` says what it waits for."
    8002 ChangePlanMoved Conflict "CHANGE_PLAN_MOVED" "The plan on record is another one than was named. Look at it, then start or approve that."
    8003 ApprovalMissing Precondition "APPROVAL_MISSING" "The plan has fewer approvals than its author or an approval rule asks for; who asks is said. Somebody else than its author approves it with `muster change approve`."
    8004 ApprovalOwn Denied "APPROVAL_OWN" "Nobody approves a change of their own. Ask somebody else."
    8005 TargetCountMoved Conflict "TARGET_COUNT_MOVED" "The plan has another number of targets than was confirmed. Look at it, then start it with the number it has."
    8006 ChangeInvalid Invalid "CHANGE_INVALID" "The change cannot be accepted; the field is named."
    8007 CodesErased Precondition "CODES_ERASED" "The codes of the change were acknowledged, or nobody did so for seven days after its end, and are erased. Devices that have not claimed get other ones by another change, or by `muster device reissue-code`."
    8008 ApprovalRulesInvalid Invalid "APPROVAL_RULES_INVALID" "The approval rules cannot be accepted; the rule and its field are named, counted from 0."
}

/// A number that no refusal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownCode(pub u16);

impl fmt::Display for UnknownCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no refusal has the number {}", self.0)
    }
}

impl From<Code> for u16 {
    fn from(code: Code) -> Self {
        code.number()
    }
}

/// An answer of "no": which, where, and why in this case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Which refusal.
    pub code: Code,
    /// Path of the field at fault, such as `rows[1041].mac`; empty when the whole request is.
    pub field: String,
    /// Why, in this case: lower case, no full stop, never a secret.
    pub message: String,
}

impl Refusal {
    /// A refusal of the whole request.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            field: String::new(),
            message: message.into(),
        }
    }

    /// The same refusal, at a field.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = field.into();
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "M{}: ", self.code.number())?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

impl core::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_reasons_are_unique_and_ordered() {
        assert!(Code::ALL.is_sorted_by(|a, b| a.number() < b.number()));
        let mut reasons: Vec<_> = Code::ALL.iter().map(|code| code.reason()).collect();
        reasons.sort_unstable();
        assert!(reasons.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn every_number_reads_back_and_helps() {
        for &code in Code::ALL {
            assert_eq!(Code::try_from(code.number()), Ok(code));
            assert!(code.help().ends_with('.') && code.help().len() > 20, "{code:?}");
        }
        assert_eq!(Code::try_from(1), Err(UnknownCode(1)));
    }
}
