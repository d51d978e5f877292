/** A duration in seconds as people say it: 8s, 1m 05s, 2h 03m, 3d 04h. Unknown or endless: "-". */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return "-";
  const whole = Math.round(seconds);
  const two = (value: number) => String(value).padStart(2, "0");
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${two(whole % 60)}s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)}h ${two(minutes % 60)}m`;
  const hours = Math.round(seconds / 3600);
  return `${Math.floor(hours / 24)}d ${two(hours % 24)}h`;
}

const PREFIXES = ["", "k", "M", "G", "T", "P"];

/** A number with three digits and an SI prefix: 950, 1.23k, 45.6M. */
export function formatSi(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  let scaled = Math.abs(value);
  let prefix = 0;
  // 999.5 and more would be shown as 1000.
  while (scaled >= 999.5 && prefix < PREFIXES.length - 1) {
    scaled /= 1000;
    prefix++;
  }
  const digits = Number.isInteger(scaled) && prefix === 0 ? 0 : scaled >= 99.95 ? 0 : scaled >= 9.995 ? 1 : 2;
  return `${value < 0 ? "-" : ""}${scaled.toFixed(digits)}${PREFIXES[prefix]}`;
}

/** A loss with four decimals, however bad it is. */
export function formatLoss(loss: number): string {
  return Number.isFinite(loss) && Math.abs(loss) >= 1e5 ? loss.toExponential(3) : Number.isFinite(loss) ? loss.toFixed(4) : String(loss);
}
