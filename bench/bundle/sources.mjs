/** The sources in this archive end in .ts and hold JavaScript: their types are gone, their names are what they call each other by. */
import { register } from "node:module";

const hook = "export const load = (url, context, next) => next(url, url.endsWith('.ts') ? { ...context, format: 'module' } : context)";
register(`data:text/javascript,${encodeURIComponent(hook)}`);
