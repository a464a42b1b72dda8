/** What a page of Jupyter Server can do by itself, beside the kernel. */

/** Where the page's server is; null in front ends without Jupyter Server's page, such as VS Code. */
interface Server {
  baseUrl: string;
  token: string;
}

function findServer(): Server | null {
  const told = document.getElementById('jupyter-config-data')?.textContent;
  if (!told) {
    return null;
  }
  const { baseUrl, token } = JSON.parse(told) as { baseUrl?: unknown; token?: unknown };
  return typeof baseUrl === 'string' ? { baseUrl, token: typeof token === 'string' ? token : '' } : null;
}

/** Takes a question back by HTTP, beside the message to the kernel, which may be busy. */
export function cancelOverHttp(requestId: string): Promise<void> {
  return post('api/cancel', { request_id: requestId });
}

/** Ends a job by HTTP, beside the message to the kernel, which may be busy. */
export function cancelJobOverHttp(jobId: string): Promise<void> {
  return post(`api/jobs/${encodeURIComponent(jobId)}/cancel`, {});
}

/** Resolves whatever comes of it: the server may lack lorebook's extension, and the kernel is asked as well. */
async function post(path: string, body: object): Promise<void> {
  const server = findServer();
  if (!server) {
    return;
  }
  const headers: Record<string, string> = { 'Content-Type': 'application/json' };
  const xsrf = /(?:^|;\s*)_xsrf=([^;]+)/.exec(document.cookie)?.[1];
  if (xsrf) {
    headers['X-XSRFToken'] = decodeURIComponent(xsrf);
  }
  if (server.token) {
    headers.Authorization = `token ${server.token}`;
  }
  try {
    const url = new URL(`${server.baseUrl}lorebook/${path}`, location.href);
    await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  } catch {
    // the message to the kernel is on its way
  }
}

/** Gives the person a file: the browser saves it where it saves downloads. */
export function saveText(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: 'text/markdown' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
