// SPDX-License-Identifier: Apache-2.0
/* refusal.h - every reason for which the ledger refuses a transfer or an account: number, name, meaning.
 *
 * The order is the order of precedence: where several reasons hold, the smallest number is the answer.  It is the same in
 * code, in docs/protocol.md, in the tests and in GET /v1/refusals; numbers never change their meaning.
 *
 * BURNS: the reason depends on the state of the books at that moment.  The transfer's id is used up by it: a record says so,
 * and every later transfer with that id is refused as id_already_failed.  All other reasons lie in the content alone and
 * leave the id free.
 */
#ifndef ENGINE_LEDGER_REFUSAL_H
#define ENGINE_LEDGER_REFUSAL_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/str.h"

enum { REFUSAL_KEEPS = 0, REFUSAL_BURNS = 1 };

/* X(number, NAME, "name", burns, "meaning") */
#define REFUSALS(X) \
	X(1, LINKED_EVENT_FAILED, "linked_event_failed", KEEPS, \
	  "another row of the same linked chain was refused; nothing of the chain was done") \
	X(2, LINKED_EVENT_CHAIN_OPEN, "linked_event_chain_open", KEEPS, "the last row of the batch has the flag linked") \
	X(3, RESERVED_FLAG, "reserved_flag", KEEPS, "a flag is set that has no meaning yet") \
	X(4, FLAGS_ARE_MUTUALLY_EXCLUSIVE, "flags_are_mutually_exclusive", KEEPS, \
	  "at most one of pending, post, void; balancing only without post and void") \
	X(5, ID_MUST_NOT_BE_ZERO, "id_must_not_be_zero", KEEPS, "the id is 0") \
	X(6, ID_MUST_NOT_BE_INT_MAX, "id_must_not_be_int_max", KEEPS, "the id is 2^128 - 1") \
	X(7, PENDING_ID_MUST_NOT_BE_ZERO, "pending_id_must_not_be_zero", KEEPS, \
	  "post or void, and the debit field, which names the pending transfer, is 0") \
	X(8, PENDING_ID_MUST_NOT_BE_INT_MAX, "pending_id_must_not_be_int_max", KEEPS, \
	  "post or void, and the debit field is 2^128 - 1") \
	X(9, PENDING_ID_MUST_BE_DIFFERENT, "pending_id_must_be_different", KEEPS, \
	  "post or void of the transfer's own id") \
	X(10, CREDIT_ACCOUNT_ID_MUST_BE_ZERO, "credit_account_id_must_be_zero", KEEPS, \
	  "post or void, and the credit field is not 0: the pending transfer names both accounts") \
	X(11, DEBIT_ACCOUNT_ID_MUST_NOT_BE_ZERO, "debit_account_id_must_not_be_zero", KEEPS, "the debit account's id is 0") \
	X(12, DEBIT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX, "debit_account_id_must_not_be_int_max", KEEPS, \
	  "the debit account's id is 2^128 - 1") \
	X(13, CREDIT_ACCOUNT_ID_MUST_NOT_BE_ZERO, "credit_account_id_must_not_be_zero", KEEPS, "the credit account's id is 0") \
	X(14, CREDIT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX, "credit_account_id_must_not_be_int_max", KEEPS, \
	  "the credit account's id is 2^128 - 1") \
	X(15, ACCOUNTS_MUST_BE_DIFFERENT, "accounts_must_be_different", KEEPS, "debit and credit account are the same") \
	X(16, TIMEOUT_RESERVED_FOR_PENDING_TRANSFER, "timeout_reserved_for_pending_transfer", KEEPS, \
	  "a timeout without the flag pending") \
	X(17, AMOUNT_MUST_NOT_BE_ZERO, "amount_must_not_be_zero", KEEPS, \
	  "the amount is 0; only post and void give it a meaning (all of the pending amount)") \
	X(18, EXISTS_WITH_DIFFERENT_FLAGS, "exists_with_different_flags", KEEPS, \
	  "a transfer with this id exists and its flags are others") \
	X(19, EXISTS_WITH_DIFFERENT_PENDING_ID, "exists_with_different_pending_id", KEEPS, \
	  "a transfer with this id exists and it posts or voids another one") \
	X(20, EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT_ID, "exists_with_different_debit_account_id", KEEPS, \
	  "a transfer with this id exists and debits another account") \
	X(21, EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID, "exists_with_different_credit_account_id", KEEPS, \
	  "a transfer with this id exists and credits another account") \
	X(22, EXISTS_WITH_DIFFERENT_AMOUNT, "exists_with_different_amount", KEEPS, \
	  "a transfer with this id exists and asked for another amount") \
	X(23, EXISTS_WITH_DIFFERENT_CODE, "exists_with_different_code", KEEPS, \
	  "a transfer with this id exists and its code is another") \
	X(24, EXISTS_WITH_DIFFERENT_TIMEOUT, "exists_with_different_timeout", KEEPS, \
	  "a transfer with this id exists and its timeout is another") \
	X(25, ID_ALREADY_FAILED, "id_already_failed", KEEPS, \
	  "a transfer with this id was refused before for a reason that depended on the state then; use a new id") \
	X(26, OUTCOME_PRUNED, "outcome_pruned", KEEPS, \
	  "the id is known, but the part of the log with its outcome was dropped; nothing was done now") \
	X(27, PENDING_TRANSFER_NOT_FOUND, "pending_transfer_not_found", BURNS, "no transfer has the id that is to be posted or voided") \
	X(28, PENDING_TRANSFER_NOT_PENDING, "pending_transfer_not_pending", KEEPS, \
	  "the transfer to be posted or voided was never a pending one") \
	X(29, PENDING_TRANSFER_ALREADY_POSTED, "pending_transfer_already_posted", BURNS, "it was posted before") \
	X(30, PENDING_TRANSFER_ALREADY_VOIDED, "pending_transfer_already_voided", BURNS, "it was voided before") \
	X(31, PENDING_TRANSFER_EXPIRED, "pending_transfer_expired", BURNS, "its timeout has passed") \
	X(32, PENDING_TRANSFER_HAS_DIFFERENT_CODE, "pending_transfer_has_different_code", KEEPS, \
	  "a code other than 0 and other than the pending transfer's") \
	X(33, EXCEEDS_PENDING_TRANSFER_AMOUNT, "exceeds_pending_transfer_amount", KEEPS, \
	  "more is to be posted than was reserved") \
	X(34, PENDING_TRANSFER_HAS_DIFFERENT_AMOUNT, "pending_transfer_has_different_amount", KEEPS, \
	  "void with an amount other than 0 and other than the pending transfer's") \
	X(35, DEBIT_ACCOUNT_NOT_FOUND, "debit_account_not_found", BURNS, "no account has the debit account's id") \
	X(36, CREDIT_ACCOUNT_NOT_FOUND, "credit_account_not_found", BURNS, "no account has the credit account's id") \
	X(37, ACCOUNTS_MUST_HAVE_THE_SAME_TENANT, "accounts_must_have_the_same_tenant", KEEPS, \
	  "the two accounts belong to different tenants") \
	X(38, ACCOUNTS_MUST_HAVE_THE_SAME_UNIT, "accounts_must_have_the_same_unit", KEEPS, \
	  "the two accounts count different units") \
	X(39, SLICED_ACCOUNT_CANNOT_BALANCE, "sliced_account_cannot_balance", KEEPS, \
	  "balancing on a tenant account, which is kept in slices: no slice knows the whole balance") \
	X(40, DEBIT_ACCOUNT_CLOSED, "debit_account_closed", BURNS, "the debit account is closed; only void is taken") \
	X(41, CREDIT_ACCOUNT_CLOSED, "credit_account_closed", BURNS, "the credit account is closed; only void is taken") \
	X(42, OVERFLOWS_DEBITS, "overflows_debits", BURNS, "the debit account's sums would pass 2^63 - 1") \
	X(43, OVERFLOWS_CREDITS, "overflows_credits", BURNS, "the credit account's sums would pass 2^63 - 1") \
	X(44, EXCEEDS_FLOOR, "exceeds_floor", BURNS, \
	  "the debit account's balance, less what is pending against it, would pass its floor") \
	X(45, EXCEEDS_CEILING, "exceeds_ceiling", BURNS, \
	  "the credit account's balance, with what is pending for it, would pass its ceiling") \
	X(60, MEMORY_FULL, "memory_full", KEEPS, "the memory for accounts and ids is used up (--memory); nothing was written") \
	X(61, DISK_FULL, "disk_full", KEEPS, "the disk is full; nothing was written") \
	X(62, CHAIN_TOO_LONG, "chain_too_long", KEEPS, "the linked chain does not fit into one frame of the log (--log-ring)") \
	X(63, EXISTS_WITH_DIFFERENT_CONTENT, "exists_with_different_content", KEEPS, \
	  "a transfer with this id exists and asked for something else; what it was is no longer in the log") \
	X(100, ACCOUNT_ID_MUST_NOT_BE_ZERO, "account_id_must_not_be_zero", KEEPS, \
	  "the account's id is 0; leave it out and name member (and program) to have it derived") \
	X(101, ACCOUNT_ID_MUST_NOT_BE_INT_MAX, "account_id_must_not_be_int_max", KEEPS, "the account's id is 2^128 - 1") \
	X(102, ACCOUNT_ID_RESERVED, "account_id_reserved", KEEPS, \
	  "the id's top 16 bits are 0xFFFE, the tag of ids that Tally derives itself") \
	X(103, ACCOUNT_FLAGS_RESERVED, "account_flags_reserved", KEEPS, "a flag is set that has no meaning yet") \
	X(104, ACCOUNT_FLOOR_ABOVE_CEILING, "account_floor_above_ceiling", KEEPS, "the floor lies above the ceiling") \
	X(105, SLICED_ACCOUNT_HAS_NO_LIMITS, "sliced_account_has_no_limits", KEEPS, \
	  "a floor or a ceiling for a tenant account, which is kept in slices") \
	X(106, SLICED_ACCOUNT_CANNOT_CLOSE, "sliced_account_cannot_close", KEEPS, "closing a tenant account, which is kept in slices") \
	X(107, ACCOUNT_EXISTS_WITH_DIFFERENT_TENANT, "account_exists_with_different_tenant", KEEPS, \
	  "an account with this id exists for another tenant") \
	X(108, ACCOUNT_EXISTS_WITH_DIFFERENT_UNIT, "account_exists_with_different_unit", KEEPS, \
	  "an account with this id exists and counts another unit") \
	X(109, ACCOUNT_EXISTS_WITH_DIFFERENT_KIND, "account_exists_with_different_kind", KEEPS, \
	  "an account with this id exists and is of another kind") \
	X(110, ACCOUNT_EXISTS_WITH_DIFFERENT_LIMITS, "account_exists_with_different_limits", KEEPS, \
	  "an account with this id exists with another floor or ceiling") \
	X(111, ACCOUNT_EXISTS_WITH_DIFFERENT_FLAGS, "account_exists_with_different_flags", KEEPS, \
	  "an account with this id exists with other flags") \
	X(112, SLICED_ACCOUNT_HAS_ANOTHER_ID, "sliced_account_has_another_id", KEEPS, \
	  "this tenant account was given another id before") \
	X(113, ACCOUNT_NOT_FOUND, "account_not_found", KEEPS, "no account has this id")

enum refusal {
	REFUSAL_NONE = 0,
#define X(number, symbol, name, burns, meaning) REFUSED_##symbol = number,
	REFUSALS(X)
#undef X
};

struct refusal_info {
	enum refusal number;
	const char *name, *meaning;
	bool burns;
};

extern const struct refusal_info refusals[];   /* in order; the last has number 0 */
const struct refusal_info *refusal_find(uint32_t number);      /* NULL: there is none with that number */
const struct refusal_info *refusal_by_name(struct str name);   /* NULL: there is none with that name */
bool refusal_burns(enum refusal refusal);

#endif
