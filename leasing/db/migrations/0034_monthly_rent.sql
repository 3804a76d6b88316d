-- How many months a period has is said in one place, which is not here.

DROP FUNCTION monthly_rent(bigint, text);
