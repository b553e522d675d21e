import { useRef, useState } from 'preact/hooks';
import type { DetectedObject, Pipeline } from 'simdformer/tasks';
import { type Origin, openTask, type Report } from '../engine.js';
import { ModelBar } from '../model-bar.js';
import { FileButton, Problem, StopButton } from '../parts.js';
import { useModel } from '../use-model.js';
import { useWork } from '../use-work.js';

/** Tasks by what a person sees, with models that suit them. */
const TASKS = {
  'object-detection': { name: 'Find objects', models: ['facebook/detr-resnet-50', 'PekingU/rtdetr_r18vd'] },
  'image-to-text': {
    name: 'Describe',
    models: ['florence-community/Florence-2-base', 'microsoft/trocr-small-printed'],
  },
  'background-removal': { name: 'Cut out', models: ['apple/deeplabv3-mobilevit-small'] },
} as const;

type ImageTask = keyof typeof TASKS;

const INK = '#e0115f';

/** Draws boxes with their labels. */
function drawObjects(context: CanvasRenderingContext2D, objects: readonly DetectedObject[]): void {
  const { width } = context.canvas;
  context.lineWidth = Math.max(2, width / 300);
  context.font = `${Math.max(12, width / 40)}px system-ui`;
  context.strokeStyle = INK;
  for (const { box, label, score } of objects) {
    context.strokeRect(box.xmin, box.ymin, box.xmax - box.xmin, box.ymax - box.ymin);
    context.fillStyle = INK;
    context.fillText(`${label} ${(100 * score).toFixed(0)} %`, box.xmin + 4, box.ymin - 4);
  }
}

/** Finds objects in an image, describes it, or cuts out what is in front. */
export function ImagesTab() {
  const [task, setTask] = useState<ImageTask>('object-detection');
  return (
    <>
      <label>
        Task{' '}
        <select value={task} onChange={(event) => setTask(event.currentTarget.value as ImageTask)}>
          {Object.entries(TASKS).map(([each, { name }]) => (
            <option key={each} value={each}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <ImageTaskView key={task} task={task} />
    </>
  );
}

function ImageTaskView({ task }: { readonly task: ImageTask }) {
  const model = useModel((origin: Origin, report: Report, stop: AbortSignal) => openTask(task, origin, report, stop));
  const work = useWork();
  const canvas = useRef<HTMLCanvasElement>(null);
  const [text, setText] = useState('');
  const ready = model.state.kind === 'ready' ? model.state.value : null;

  const look = (file: File) =>
    work.run(async (signal) => {
      if (ready === null) throw new Error('Load a model first.');
      setText('');
      const picture = await createImageBitmap(file);
      const { width, height } = picture;
      const drawing = canvas.current as HTMLCanvasElement;
      Object.assign(drawing, { width, height });
      const context = drawing.getContext('2d') as CanvasRenderingContext2D;
      context.drawImage(picture, 0, 0);
      picture.close();
      if (ready.task === 'object-detection') {
        const objects = await (ready as Pipeline<'object-detection'>)(file, { signal });
        drawObjects(context, objects);
        setText(
          objects.map(({ label, score }) => `${label} ${(100 * score).toFixed(0)} %`).join(', ') || 'Nothing found.',
        );
      } else if (ready.task === 'image-to-text') {
        const [found] = await (ready as Pipeline<'image-to-text'>)(file, { signal });
        setText(found?.generated_text || 'No text found.');
      } else {
        const cut = await (ready as Pipeline<'background-removal'>)(file, { signal });
        context.clearRect(0, 0, width, height);
        context.putImageData(new ImageData(new Uint8ClampedArray(cut.data), cut.width, cut.height), 0, 0);
        setText('The background is transparent now.');
      }
    });

  return (
    <>
      <ModelBar model={model} suggestions={TASKS[task].models} />
      <div class="row">
        <FileButton
          label="Choose an image"
          accept="image/*"
          disabled={ready === null}
          onFiles={([file]) => void look(file as File)}
        />
        <StopButton work={work} />
      </div>
      <Problem work={work} />
      <output class="text">{work.isBusy ? 'Looking…' : text}</output>
      <canvas ref={canvas} width={0} height={0} aria-label="The image with the result" />
    </>
  );
}
