export default function Page() {
  return <a href="/embed?text=hello">The embedding of hello</a>;
}
