// A page that came over plain http has no crypto.randomUUID, by which the core makes its ids.
import { randomId } from "#platform";

crypto.randomUUID ??= randomId as typeof crypto.randomUUID;
